/** Lets so many pieces of work be done at once; the others wait for their turn. */
export interface Slots {
  /** Rejects with the signal's reason when that comes before the turn. */
  with<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

export function newSlots(count: number): Slots {
  let free = count
  const waiting: (() => void)[] = []
  const give = () => {
    const next = waiting.shift()
    if (next) next()
    else free += 1
  }
  return {
    with: async (signal, work) => {
      signal.throwIfAborted()
      if (free > 0) free -= 1
      else await turn(waiting, signal)
      try {
        return await work()
      } finally {
        give()
      }
    },
  }
}

async function turn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  const next = () => resolve(undefined)
  const leave = () => {
    const index = waiting.indexOf(next)
    if (index === -1) return // Its turn came at the same moment, and counts.
    waiting.splice(index, 1)
    reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  }
  waiting.push(next)
  signal.addEventListener('abort', leave, { once: true })
  try {
    await promise
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

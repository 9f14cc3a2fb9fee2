/** How many may have a turn, and how long nobody takes it from them. */
export interface TurnLimits {
  /** Turns that are shorter than `fairMs`. */
  readonly atOnce: number
  /** Turns in all; not less than `atOnce`. */
  readonly inAll: number
  readonly fairMs: number
}

/** Somebody who wants a turn. */
export interface Asker {
  readonly signal: AbortSignal
  /** Set for as long as others keep it from its turn. */
  isWaiting: boolean
}

export interface Turn {
  /** Also aborted when the turn is over. */
  readonly signal: AbortSignal
  /** Of those who had their time, the one that notes the least has to leave first. */
  readonly note: (bytes: number) => void
}

/**
 * Turns of those who wait in one queue. A turn keeps others out for `fairMs` only: then the next begins beside it. When
 * `inAll` turns are taken and some still wait, the slowest of those who had their time goes to the end of the queue.
 */
export interface Turns {
  /** Work whose turn was taken away is called again in its next one. Rejects with the signal's reason when that comes first. */
  with<T>(asker: Asker, work: (turn: Turn) => Promise<T>): Promise<T>
  /** Turns that are taken now. */
  readonly taken: number
}

interface Taken {
  readonly abort: AbortController
  readonly timer: NodeJS.Timeout
  isFresh: boolean
  bytes: number
  /** In its last `fairMs`. */
  bytesBefore: number
}

type Admit = () => void

export function newTurns({ atOnce, inAll, fairMs }: TurnLimits): Turns {
  const taken = new Set<Taken>()
  const queue: Admit[] = []

  const advance = () => {
    while (taken.size < inAll && countFresh(taken) < atOnce) {
      const admit = queue.shift()
      if (!admit) return
      admit()
    }
    for (const { abort } of mustLeave(taken, queue.length, atOnce)) abort.abort(turnIsOver)
  }

  const enter = async (asker: Asker): Promise<Taken> => {
    const { promise, resolve } = Promise.withResolvers<Taken>()
    const admit = () => {
      const turn = begin(fairMs, advance)
      taken.add(turn)
      resolve(turn)
    }
    queue.push(admit)
    advance()
    return queue.includes(admit) ? awaitTurn(promise, asker, () => leaveQueue(queue, admit)) : promise
  }

  const leave = (turn: Taken) => {
    clearInterval(turn.timer)
    taken.delete(turn)
    advance()
  }

  return {
    get taken() {
      return taken.size
    },
    with: async (asker, work) => {
      for (;;) {
        asker.signal.throwIfAborted()
        const turn = await enter(asker)
        try {
          return await work({
            signal: AbortSignal.any([asker.signal, turn.abort.signal]),
            note: (bytes) => void (turn.bytes += bytes),
          })
        } catch (error) {
          if (!isLeaving(turn)) throw error
        } finally {
          leave(turn)
        }
      }
    },
  }
}

function begin(fairMs: number, onTime: () => void): Taken {
  const timer = setInterval(() => {
    Object.assign(made, { isFresh: false, bytesBefore: made.bytes, bytes: 0 })
    onTime()
  }, fairMs)
  const made: Taken = { abort: new AbortController(), timer, isFresh: true, bytes: 0, bytesBefore: 0 }
  return made
}

const turnIsOver = new Error('others wait for their turn')

function isLeaving({ abort }: Taken): boolean {
  return abort.signal.aborted
}

function countFresh(taken: ReadonlySet<Taken>): number {
  return [...taken].filter(({ isFresh }) => isFresh).length
}

/** The slowest of those who had their time. Each that leaves makes room for one that is fresh then. */
function mustLeave(taken: ReadonlySet<Taken>, waiting: number, atOnce: number): Taken[] {
  const leaving = [...taken].filter(isLeaving).length
  const missing = Math.min(waiting, atOnce - countFresh(taken)) - leaving
  return [...taken]
    .filter((turn) => !turn.isFresh && !isLeaving(turn))
    .toSorted((a, b) => a.bytesBefore - b.bytesBefore)
    .slice(0, Math.max(0, missing))
}

/** False when its turn came before: that counts. */
function leaveQueue(queue: Admit[], admit: Admit): boolean {
  const index = queue.indexOf(admit)
  if (index !== -1) queue.splice(index, 1)
  return index !== -1
}

async function awaitTurn(turn: Promise<Taken>, asker: Asker, leaves: () => boolean): Promise<Taken> {
  const { signal } = asker
  const { promise, reject } = Promise.withResolvers<never>()
  const giveUp = () => {
    if (leaves()) reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  }
  signal.addEventListener('abort', giveUp, { once: true })
  asker.isWaiting = true
  try {
    return await Promise.race([turn, promise])
  } finally {
    asker.isWaiting = false
    signal.removeEventListener('abort', giveUp)
  }
}

import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const undoing = new Set<() => void>()

/** Has `undo` called if the benchmark is interrupted before this is disposed of. It must not wait: nothing runs beside it. */
export function onInterruption(undo: () => void): Disposable {
  undoing.add(undo)
  return { [Symbol.dispose]: () => void undoing.delete(undo) }
}

/**
 * From now on a signal, or an error that nobody caught, ends this process only after all is undone, what came last first:
 * no platform is left behind.
 */
export function undoWhenInterrupted(say: (line: string) => void): void {
  const undoAll = (why: string) => {
    say(`${why}: stopping what this benchmark started`)
    for (const undo of [...undoing].toReversed()) attempt(undo, say)
  }
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      undoAll(signal)
      process.exit(128 + constants.signals[signal])
    })
  }
  process.once('uncaughtException', (error) => {
    undoAll(error.stack ?? String(error))
    process.exit(1)
  })
}

function attempt(undo: () => void, say: (line: string) => void): void {
  try {
    undo()
  } catch (error) {
    say(String(error)) // The rest has to be undone all the same.
  }
}

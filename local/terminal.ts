import { appendFileSync } from 'node:fs'

/** Where a person reads what happens. */
export interface Terminal {
  /** Text as it is. */
  readonly print: (text: string) => void
  /** A line of progress, with the seconds since the start. */
  readonly say: (line: string) => void
  /** From now on what is printed is kept in this file too. */
  readonly keep: (path: string) => void
}

/** A terminal that writes to a stream. One that is gone, as when its window was closed, is not an error. */
export function newTerminal(stream: NodeJS.WritableStream): Terminal {
  const startedAt = performance.now()
  let file: string | undefined
  stream.on('error', () => undefined)
  const print = (text: string) => {
    stream.write(`${text}\n`)
    if (file !== undefined) append(file, text)
  }
  return {
    print,
    say: (line) => print(`[${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s] ${line}`),
    keep(path) {
      file = path
    },
  }
}

// What a full disk keeps out of the file has been printed all the same.
function append(file: string, text: string): void {
  try {
    appendFileSync(file, `${text}\n`, { mode: 0o600 })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
  }
}

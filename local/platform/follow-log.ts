import { open } from 'node:fs/promises'

export interface LogFollower {
  /** What was added since the last call, without a line end at its end; '' when nothing was. */
  read(): Promise<string>
}

/** Reads a growing text file from an offset in bytes on. */
export function followLog(path: string, from: number): LogFollower {
  let offset = from
  return {
    async read() {
      await using file = await open(path)
      const { size } = await file.stat()
      if (size <= offset) return ''
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - offset), 0, size - offset, offset)
      offset += bytesRead
      return buffer.toString('utf8', 0, bytesRead).trimEnd()
    },
  }
}

/** Prints what was added, if anything was. */
export async function show(log: LogFollower, { print }: { readonly print: (text: string) => void }): Promise<void> {
  const text = await log.read()
  if (text !== '') print(text)
}

import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { LocalError } from '../errors.ts'
import { findFreePort, isFreePort } from './port.ts'

export interface KeptPort {
  /** File that keeps the number, so that an address that somebody copied works after the next start. */
  readonly file: string
  /** What the user asked for. */
  readonly wanted: number | undefined
  /** Option by which the user can ask for another one. */
  readonly option: string
}

/** A port of 127.0.0.1 that is free now: the one asked for, else that of the last start, else any. Throws `PORT_TAKEN`. */
export async function choosePort({ file, wanted, option }: KeptPort): Promise<number> {
  const port = wanted ?? toPort(await readTextFile(file)) ?? (await findFreePort())
  if (!(await isFreePort(port))) {
    const whose = wanted === undefined ? ', which this platform used before,' : ''
    throw new LocalError(
      'PORT_TAKEN',
      `port ${port} of 127.0.0.1${whose} is taken by another program: end that program, or choose another port: npm start -- ${option} NUMBER`,
    )
  }
  await writePrivateFile(file, String(port))
  return port
}

/** The port of the last start, or any free one where that is taken by now: for what must not keep anything from starting. */
export async function keepPort(file: string, taken: readonly number[]): Promise<number> {
  const last = toPort(await readTextFile(file))
  const isUsable = last !== undefined && !taken.includes(last) && (await isFreePort(last))
  const port = isUsable ? last : await findFreePort(taken)
  await writePrivateFile(file, String(port))
  return port
}

// A file that does not hold one is as good as none.
function toPort(text: string | undefined): number | undefined {
  const port = Number(text)
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined
}

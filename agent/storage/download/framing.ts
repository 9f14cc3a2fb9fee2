import type { Socket } from 'node:net'

const LOOK_MS = 50
/** Headers, and the beginning of a body that has just come. */
const FREE_BYTES = 4 * 2 ** 20
/** The smallest chunks that a server may send are six times as large as what is in them. */
const MAX_SHARE = 16

export interface Framing extends Disposable {
  /** The connection that is watched. */
  watch(this: void, socket: Pick<Socket, 'bytesRead'>): void
  /** Bytes of the file that came over it. */
  note(bytes: number): void
}

/**
 * Calls `bite` once, when far more came over a connection than there is of the file: what stands around a file has no
 * limit of its own, and a server that sends nothing else would keep a core busy for ever.
 */
export function watchFraming(bite: () => void): Framing {
  let socket: Pick<Socket, 'bytesRead'> | undefined
  let noted = 0
  const timer = setInterval(() => {
    if (!socket || socket.bytesRead <= FREE_BYTES + MAX_SHARE * noted) return
    clearInterval(timer)
    bite()
  }, LOOK_MS)
  return {
    watch: (connected) => void (socket = connected),
    note: (bytes) => void (noted += bytes),
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

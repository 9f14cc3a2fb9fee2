import { connect, type Socket } from 'node:net'
import { QmpError } from './errors.ts'

const MAX_LINE_BYTES = 1024 * 1024

export interface LineListener {
  readonly onLine: (line: string) => void
  /** Called once, whoever ends the connection. Without an error: an orderly end. */
  readonly onEnd: (error: Error | undefined) => void
}

/** Text lines over a Unix socket. A line of more than 1 MiB ends the connection, so that a peer cannot fill memory. */
export class LineSocket {
  readonly #socket: Socket
  #pieces: Buffer[] = []
  #pending = 0

  private constructor(socket: Socket, listener: LineListener) {
    this.#socket = socket
    let failure: Error | undefined
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#take(chunk, listener.onLine)
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.on('error', (error) => (failure = error))
    socket.once('close', () => listener.onEnd(failure))
  }

  /** Rejects with Node's error (ENOENT, ECONNREFUSED) when nobody listens there. */
  static connect(path: string, listener: LineListener): Promise<LineSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new LineSocket(socket, listener))
      })
    })
  }

  send(line: string): void {
    this.#socket.write(`${line}\n`)
  }

  close(error?: Error): void {
    this.#socket.destroy(error)
  }

  #take(chunk: Buffer, onLine: (line: string) => void): void {
    let rest = chunk
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      this.#keep(rest.subarray(0, end))
      rest = rest.subarray(end + 1)
      const line = Buffer.concat(this.#pieces).toString('utf8').trim()
      this.#pieces = []
      this.#pending = 0
      if (line !== '') onLine(line)
    }
    if (rest.length > 0) this.#keep(rest)
  }

  #keep(piece: Buffer): void {
    this.#pending += piece.length
    if (this.#pending > MAX_LINE_BYTES) throw new QmpError('QMP_UNEXPECTED_REPLY', 'a line of more than 1 MiB')
    this.#pieces.push(piece)
  }
}

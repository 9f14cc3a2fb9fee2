import { parseReply, type Args, type Command, type Reply } from './commands.ts'
import { QmpError } from './errors.ts'
import { LineSocket } from './line-socket.ts'
import { parseMessage, type Message } from './messages.ts'

const DEFAULT_TIMEOUT_MS = 5000

/** Events that say something about a machine's run state, or what it is made of. The rest of QEMU's events are not passed on. */
const passedOn = [
  'STOP',
  'RESUME',
  'SHUTDOWN',
  'RESET',
  'POWERDOWN',
  'BLOCK_IO_ERROR',
  'GUEST_PANICKED',
  'DEVICE_DELETED',
] as const
export type MonitorEvent = (typeof passedOn)[number]

export interface MonitorListener {
  readonly onEvent: (event: MonitorEvent) => void
  /** Called once, whoever ends the connection. */
  readonly onEnd: () => void
}

interface Waiting {
  readonly resolve: (content: unknown) => void
  readonly reject: (error: QmpError) => void
}

/** One connection to a QEMU's monitor. QEMU serves one at a time: a second waits until the first is closed. */
export class Monitor {
  /** Of the QEMU at the other end, as in its greeting. */
  version = ''
  /** UUID of the machine at the other end. */
  machineId = ''
  readonly #listener: MonitorListener
  readonly #waiting = new Map<string, Waiting>()
  readonly #greeted = Promise.withResolvers<void>()
  #lines: LineSocket | undefined
  #ended = false
  #lastId = 0

  private constructor(listener: MonitorListener) {
    this.#listener = listener
    this.#greeted.promise.catch(() => undefined) // Whoever waits for it sees it too; nobody may.
  }

  /**
   * Connects, negotiates and asks whose it is. Throws Node's error (ENOENT, ECONNREFUSED) when nobody listens yet,
   * and `QmpError` when what answers is not, or not in time, a QEMU that takes commands.
   */
  static async connect(path: string, listener: MonitorListener, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Monitor> {
    const monitor = new Monitor(listener)
    monitor.#lines = await LineSocket.connect(path, {
      onLine: (line) => monitor.#receive(parseMessage(line)),
      onEnd: (error) => monitor.#end(error),
    })
    try {
      await withTimeout(monitor.#greeted.promise, timeoutMs, 'greeting')
      // Answered in this order. A QEMU that is just starting is slow to answer, so both go at once.
      const [, { UUID }] = await Promise.all([
        monitor.execute('qmp_capabilities', undefined, timeoutMs),
        monitor.execute('query-uuid', undefined, timeoutMs),
      ])
      monitor.machineId = UUID
      return monitor
    } catch (error) {
      monitor.close()
      throw error
    }
  }

  /** Carries out one command. A reply that comes after the time limit is dropped; the connection stays. */
  async execute<C extends Command>(command: C, args?: Args<C>, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<Reply<C>> {
    if (this.#ended || !this.#lines) throw new QmpError('QMP_DISCONNECTED', `${command}: no connection`)
    this.#lastId += 1
    const id = String(this.#lastId)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    try {
      this.#lines.send(JSON.stringify({ execute: command, arguments: args, id }))
      return parseReply(command, await withTimeout(promise, timeoutMs, command))
    } finally {
      this.#waiting.delete(id)
    }
  }

  close(): void {
    this.#lines?.close()
  }

  #receive(message: Message): void {
    switch (message.type) {
      case 'Greeting':
        this.version = message.version
        this.#greeted.resolve()
        return
      case 'Success':
        this.#waiting.get(message.id)?.resolve(message.content)
        return
      case 'Failure':
        this.#waiting.get(message.id)?.reject(new QmpError('QMP_REFUSED', message.message))
        return
      case 'Event': {
        const event = passedOn.find((name) => name === message.event)
        if (event) this.#listener.onEvent(event)
      }
    }
  }

  #end(cause: Error | undefined): void {
    this.#ended = true
    const error =
      cause instanceof QmpError ? cause : new QmpError('QMP_DISCONNECTED', 'QEMU closed its monitor', { cause })
    this.#greeted.reject(error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#listener.onEnd()
  }
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const timeout = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    timeout.reject(new QmpError('QMP_TIMEOUT', `${what}: no answer within ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    return await Promise.race([promise, timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}

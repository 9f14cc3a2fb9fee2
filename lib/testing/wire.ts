import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** Two ends of one connection that goes through. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
}

/** A port of this computer that leads to another one, byte by byte, and can fail as a network does. */
export class Wire implements AsyncDisposable {
  readonly #listener: Server
  readonly #port: number
  readonly #pairs = new Set<Pair>()
  readonly #clients = new Set<Socket>()
  /** Accepted while nothing goes through. */
  readonly #waiting = new Set<Socket>()
  #ownPort = 0
  #isFrozen = false

  private constructor(port: number) {
    this.#port = port
    // Half-closed sockets would end what the other side still says.
    this.#listener = createServer({ allowHalfOpen: false, pauseOnConnect: true }, (client) => this.#accept(client))
  }

  static async open(port: number): Promise<Wire> {
    const wire = new Wire(port)
    await wire.accept()
    return wire
  }

  get port(): number {
    return this.#ownPort
  }

  /** Breaks every connection, and refuses new ones, as when nobody listens. */
  refuse(): void {
    this.#listener.close()
    this.cut()
  }

  /** Listens, at the same port as before. */
  async accept(): Promise<void> {
    this.#listener.listen(this.#ownPort, '127.0.0.1')
    await once(this.#listener, 'listening')
    const address = this.#listener.address()
    if (isAddress(address)) this.#ownPort = address.port
  }

  /** Breaks every connection that there is now. */
  cut(): void {
    for (const { server } of this.#pairs) server.destroy()
    for (const client of this.#clients) client.destroy()
  }

  /** A black hole: connections stay and are accepted, and nothing goes through them any more, either way. */
  freeze(): void {
    this.#isFrozen = true
    for (const pair of this.#pairs) hold(pair)
  }

  /** What was held goes through now. */
  thaw(): void {
    this.#isFrozen = false
    for (const pair of this.#pairs) join(pair)
    for (const client of this.#waiting) this.#lead(client)
    this.#waiting.clear()
  }

  /** Connections that there are now stay silent for ever; new ones work. So it is when a firewall forgot them. */
  abandon(): void {
    for (const pair of this.#pairs) {
      hold(pair)
      this.#pairs.delete(pair)
      pair.server.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#listener.listening ? once(this.#listener, 'close') : undefined
    this.refuse()
    await closed
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined) // Those are the point.
    this.#clients.add(client)
    client.once('close', () => {
      this.#clients.delete(client)
      this.#waiting.delete(client)
    })
    if (this.#isFrozen) this.#waiting.add(client)
    else this.#lead(client)
  }

  #lead(client: Socket): void {
    const server = connect(this.#port, '127.0.0.1')
    const pair: Pair = { client, server }
    this.#pairs.add(pair)
    server.on('error', () => undefined)
    server.once('close', () => {
      // An abandoned client learns of nothing.
      if (this.#pairs.delete(pair)) client.destroy()
    })
    client.once('close', () => {
      this.#pairs.delete(pair)
      server.destroy()
    })
    join(pair)
  }
}

function join({ client, server }: Pair): void {
  client.pipe(server)
  server.pipe(client)
}

function hold({ client, server }: Pair): void {
  client.unpipe(server).pause()
  server.unpipe(client).pause()
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

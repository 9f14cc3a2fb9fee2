import type { Clock } from '../clock.ts'
import type { Call, Kube, Reply } from './client.ts'
import { KubeError } from './errors.ts'

interface Stored {
  metadata: { uid: string; resourceVersion: string }
  spec: { holderIdentity?: string; leaseTransitions?: number; leaseDurationSeconds?: number }
}

/** How the way to the server is, for one candidate. */
export interface Link {
  /** Nothing arrives. */
  isCut: boolean
  /** Requests are carried out, and their answers are lost. */
  isDeaf: boolean
  /** Each answer takes so long; the request is carried out at once. */
  answerMs: number
}

/** One Lease, as an API server keeps it. */
export class FakeLeases {
  stored: Stored | undefined
  /** Writes that were accepted. */
  writes = 0
  readonly #clock: Clock
  #versions = 0
  #made = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get holder(): string | undefined {
    return this.stored?.spec.holderIdentity
  }

  get term(): number | undefined {
    return this.stored?.spec.leaseTransitions
  }

  /** As somebody else writes it, or a restore. */
  put(spec: Stored['spec']): void {
    this.stored = {
      metadata: { uid: this.stored?.metadata.uid ?? this.#newUid(), resourceVersion: this.#next() },
      spec,
    }
  }

  delete(): void {
    this.stored = undefined
  }

  /** A client behind a link of its own. */
  client(): Pick<Kube, 'send'> & { readonly link: Link } {
    const link: Link = { isCut: false, isDeaf: false, answerMs: 0 }
    return { link, send: <T>(call: Call) => this.#send<T>(call, link) }
  }

  async #send<T>(call: Call, link: Link): Promise<Reply<T>> {
    const { deadlineMs = 30_000 } = call
    if (link.isCut) return this.#timeOut(deadlineMs)
    const body = this.#answer(call)
    if (link.isDeaf || link.answerMs > deadlineMs) return this.#timeOut(deadlineMs)
    if (link.answerMs > 0) await this.#clock.sleep(link.answerMs)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what a server sends
    return { status: 200, body: structuredClone(body) as T, warnings: [] }
  }

  async #timeOut(ms: number): Promise<never> {
    await this.#clock.sleep(ms)
    throw new KubeError('Timeout', 'no answer')
  }

  #answer({ method, body }: Call): Stored {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the store sends
    const sent = body as Stored
    const { stored } = this
    if (method === 'POST') {
      if (stored) throw new KubeError('AlreadyExists', 'there is one')
      return this.#store(this.#newUid(), sent.spec)
    }
    if (!stored) throw new KubeError('NotFound', 'there is none')
    if (method === 'GET') return stored
    const { uid, resourceVersion } = stored.metadata
    if (sent.metadata.uid !== uid || sent.metadata.resourceVersion !== resourceVersion) {
      throw new KubeError('Conflict', 'the object has been modified')
    }
    return this.#store(uid, { ...stored.spec, ...sent.spec })
  }

  #store(uid: string, { holderIdentity, ...rest }: Stored['spec']): Stored {
    this.writes++
    const spec = { ...rest, ...(typeof holderIdentity === 'string' && { holderIdentity }) }
    this.stored = { metadata: { uid, resourceVersion: this.#next() }, spec }
    return this.stored
  }

  #next(): string {
    return String(++this.#versions)
  }

  #newUid(): string {
    return `uid-${++this.#made}`
  }
}

import type { Call, Kube, Reply } from './client.ts'
import type { Leadership } from './leadership.ts'

/** Too little of the lease is left to write, or nothing. Another process may lead: try again, if this one ever does. */
export class NotLeading extends Error {
  override readonly name = 'NotLeading'
}

/** A write that gets less than this would mostly be given up half way. */
const MIN_WRITE_MS = 1_000
const DEADLINE_MS = 30_000

/** Sends writes only as the leader. Their deadlines end before the lease does. Throws NotLeading besides. */
export function whileLeading(kube: Pick<Kube, 'send'>, leadership: Pick<Leadership, 'leftMs'>): Pick<Kube, 'send'> {
  return {
    async send<T>(call: Call): Promise<Reply<T>> {
      if (call.method === 'GET') return kube.send<T>(call)
      const leftMs = leadership.leftMs()
      if (leftMs < MIN_WRITE_MS) throw new NotLeading('too little of the lease is left for a write')
      return kube.send<T>({ ...call, deadlineMs: Math.min(call.deadlineMs ?? DEADLINE_MS, leftMs) })
    },
  }
}

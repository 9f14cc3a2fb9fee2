import * as z from 'zod'
import type { Call, Kube } from './client.ts'
import { isKubeError } from './errors.ts'
import { collectionPath, objectPath } from './paths.ts'

/** A Lease of coordination.k8s.io as it is stored. */
export interface LeaseRecord {
  readonly uid: string
  readonly resourceVersion: string
  /** Nobody, once it was released. */
  readonly holder?: string
  /** Its `leaseTransitions`; 0 where nobody counted. */
  readonly term: number
  readonly durationMs: number
}

/** What a holder writes. */
export interface Hold {
  /** Without one it is released. */
  readonly holder?: string
  readonly term: number
  readonly durationMs: number
  /** By the wall clock, for people: nobody compares it. */
  readonly at: Date
  /** The holder is a new one. */
  readonly acquired?: true
}

export interface LeaseRef {
  readonly namespace: string
  readonly name: string
}

/** Everything throws KubeError. */
export interface LeaseStore {
  /** Undefined when there is none. */
  read(): Promise<LeaseRecord | undefined>
  /** AlreadyExists when somebody was faster. */
  create(hold: Hold): Promise<LeaseRecord>
  /** Conflict when it was written since `before` was read, and NotFound when it was deleted. */
  replace(before: LeaseRecord, hold: Hold, deadlineMs?: number): Promise<LeaseRecord>
}

const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', scope: 'Namespaced' } as const

const stored = z.object({
  metadata: z.object({ uid: z.string(), resourceVersion: z.string() }),
  spec: z
    .object({
      holderIdentity: z.string().default(''),
      leaseDurationSeconds: z.int().default(0),
      leaseTransitions: z.int().default(0),
    })
    .prefault({}),
})

/** The Lease of this name. `deadlineMs` is for each call. */
export function leaseStore(kube: Pick<Kube, 'send'>, ref: LeaseRef, deadlineMs: number): LeaseStore {
  const path = objectPath(LEASES, ref)
  let writes = 0
  const send = async (call: Call) => toRecord((await kube.send({ deadlineMs, isUrgent: true, ...call })).body)
  return {
    async read() {
      try {
        return await send({ method: 'GET', path })
      } catch (error) {
        if (isKubeError(error, 'NotFound')) return undefined
        throw error
      }
    },
    create(hold) {
      const body = { metadata: { name: ref.name }, spec: toSpec(hold, ++writes) }
      return send({ method: 'POST', path: collectionPath(LEASES, ref.namespace), body })
    },
    replace({ uid, resourceVersion }, hold, limitMs = deadlineMs) {
      const body = { metadata: { uid, resourceVersion }, spec: toSpec(hold, ++writes) }
      const contentType = 'application/merge-patch+json'
      return send({ method: 'PATCH', path, contentType, body, deadlineMs: limitMs })
    },
  }
}

function toRecord(body: unknown): LeaseRecord {
  const { metadata, spec } = stored.parse(body)
  return {
    ...metadata,
    ...(spec.holderIdentity !== '' && { holder: spec.holderIdentity }),
    term: spec.leaseTransitions,
    durationMs: spec.leaseDurationSeconds * 1000,
  }
}

function toSpec({ holder, term, durationMs, at, acquired }: Hold, writes: number): object {
  // The server drops a write that changes nothing, and then others would see no renewal. So no two have one time.
  const time = at.toISOString().replace('Z', `${String(writes % 1000).padStart(3, '0')}Z`)
  return {
    holderIdentity: holder ?? null,
    leaseTransitions: term,
    leaseDurationSeconds: Math.ceil(durationMs / 1000),
    renewTime: time,
    ...(acquired && { acquireTime: time }),
  }
}

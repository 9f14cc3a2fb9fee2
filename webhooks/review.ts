import * as z from 'zod'
import type { ObjectMeta } from '../crds/common.ts'
import type { Resource } from '../crds/kind.ts'
import type { RefusalReason } from '../crds/refusal.ts'
import { listOf, mapOf } from './lists.ts'

// Without limits of their own: the body has one. Changes are asked about before their schema is looked at, so that a name
// of 10 kB has to get through to the answer that says what is wrong with it.
const userInfo = z.object({
  username: z.string().default(''),
  uid: z.string().optional(),
  groups: listOf(z.string()).default([]),
  extra: mapOf(listOf(z.string())).default({}),
})
export type UserInfo = z.output<typeof userInfo>

/** What the API server asks: `admission.k8s.io/v1`. */
const admissionReview = z.object({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request: z.object({
    uid: z.string().min(1),
    resource: z.object({ group: z.string(), version: z.string(), resource: z.string() }),
    subResource: z.string().default(''),
    operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
    userInfo,
    object: z.unknown().optional(),
    oldObject: z.unknown().optional(),
    dryRun: z.boolean().default(false),
  }),
})
// Without the request's name and namespace: they are empty when a collection is deleted. The objects have theirs.
export type AdmissionRequest = z.output<typeof admissionReview>['request']

/** Reads a body. Throws ZodError. */
export function parseReview(body: unknown): AdmissionRequest {
  return admissionReview.parse(body).request
}

const metadata = z.looseObject({
  name: z.string().default(''),
  namespace: z.string().optional(),
  uid: z.string().default(''),
  deletionTimestamp: z.string().optional(),
  labels: mapOf(z.string()).optional(),
  annotations: mapOf(z.string()).optional(),
})
const resource = z.looseObject({ metadata })

/** An object in a request: what the API server fills in later may still be missing. Throws ZodError. */
export function parseObject(candidate: unknown): Resource {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the API server validated it on the way in
  return resource.parse(candidate) as unknown as Resource
}

export interface Refusal {
  readonly reason: RefusalReason
  /** What is wrong, then what to do. */
  readonly message: string
}

export interface Verdict {
  /** Undefined where the request may go on. */
  readonly refusal?: Refusal | undefined
  /** For the user, in any case. */
  readonly warnings?: readonly string[]
  readonly patch?: Patch
}

/** RFC 6902. `add` replaces what is there. */
export type Patch = readonly (
  | { readonly op: 'add'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
)[]

const statusOf: Record<RefusalReason, { code: number; reason: string }> = {
  NotPermitted: { code: 403, reason: 'Forbidden' },
  InUse: { code: 403, reason: 'Forbidden' },
  BrakeLatched: { code: 403, reason: 'Forbidden' },
  ConfirmationRequired: { code: 403, reason: 'Forbidden' },
  NameInRecycleBin: { code: 403, reason: 'Forbidden' },
  NotRecoverable: { code: 403, reason: 'Forbidden' },
  NotByHand: { code: 403, reason: 'Forbidden' },
  AnnotationInvalid: { code: 422, reason: 'Invalid' },
  FactsUnreadable: { code: 503, reason: 'ServiceUnavailable' },
}

/** The answer to a request. */
export function toAnswer(uid: string, { refusal, warnings = [], patch = [] }: Verdict): object {
  const response = {
    uid,
    allowed: refusal === undefined,
    ...(refusal && { status: toStatus(refusal) }),
    ...(warnings.length > 0 && { warnings: warnings.flatMap(toWarnings) }),
    ...(patch.length > 0 && { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
  }
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }
}

function toStatus({ reason, message }: Refusal): object {
  return { ...statusOf[reason], message, details: { causes: [{ reason, message }] } }
}

// The API server cuts longer ones, and leaves out those with control characters.
function toWarnings(warning: string): string[] {
  // oxlint-disable-next-line no-control-regex -- these are the ones
  const text = warning.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')
  return text.match(PIECE) ?? []
}

/** Up to 256 characters, and whole words where there are any. */
const PIECE = /\S.{0,254}\S(?=\s|$)|\S.{0,255}/gu

/** `Kind namespace/name`, as people speak of an object. */
export function nameOf(kind: string, { namespace, name }: Pick<ObjectMeta, 'name' | 'namespace'>): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`
}

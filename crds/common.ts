import * as z from 'zod'

/** Metadata as read back from the API server, which fills in all of the required fields. */
export interface ObjectMeta {
  name: string
  /** Absent on cluster-scoped objects. */
  namespace?: string
  uid: string
  generation: number
  resourceVersion: string
  creationTimestamp: string
  deletionTimestamp?: string
  finalizers?: string[]
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

const condition = z.object({
  type: z.string().max(316).describe('Name of the condition.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe('Why, as one word for programs.'),
  message: z.string().max(32768).describe('Why, as a sentence for people.'),
  observedGeneration: z.int().optional().describe('Generation of the spec this speaks about.'),
  lastTransitionTime: z.iso.datetime().describe('When the status last changed.'),
})
export type Condition = z.infer<typeof condition>

/** What kubectl applied last, which tells it what the next apply takes away. */
export const LAST_APPLIED_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration'

/** Status fields every kind carries. */
export const baseStatus = {
  conditions: z
    .array(condition)
    .max(32)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .describe('What is known about the object.'),
  observedGeneration: z.int().optional().describe('Generation of the spec the status speaks about.'),
}

export interface CelRule {
  readonly rule: string
  readonly message: string
  /** Runs a rule that uses `oldSelf` on creation too; `oldSelf` is then an optional. */
  readonly optionalOldSelf?: true
}

/** Adds CEL rules, which the API server enforces, to those that a schema has. */
export function cel<S extends z.ZodType>(schema: S, ...rules: CelRule[]): S {
  const meta = schema.meta() ?? {}
  const before: readonly unknown[] = Array.isArray(meta[CEL_KEY]) ? meta[CEL_KEY] : []
  return schema.meta({ ...meta, [CEL_KEY]: [...before, ...rules] })
}

const CEL_KEY = 'x-kubernetes-validations'

/** The name of an object, as Kubernetes limits it. */
export const objectName = z.string().min(1).max(253)

/**
 * A time as users write it. The rule is there to be evaluated: what the API server takes for a time and CEL does not, such
 * as one with a small t, would else be stored, and any rule that looks at it refuse all later writes.
 */
export const givenTime = cel(z.iso.datetime({ offset: true }), {
  rule: "self >= timestamp('2000-01-01T00:00:00Z')",
  message: 'write a time of this century such as 2026-01-31T12:00:00Z',
})

/** The name of an object as users write it. */
export const givenName = cel(objectName, {
  rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
  message:
    'write a name that an object can have: small letters, digits, dashes and dots, with a letter or a digit at both ends',
})

export const localRef = z.object({ name: givenName.describe('Name of an object in the same namespace.') })

/** A number of bytes as users write it: a whole number with Mi, Gi or Ti. */
export const size = cel(
  z.string().max(16),
  {
    rule: "self.matches('^[1-9][0-9]{0,12}(Mi|Gi|Ti)$')",
    message: 'write a whole number from 1 with Mi, Gi or Ti and without a space, such as 4Gi',
  },
  { rule: "!isQuantity(self) || quantity(self).compareTo(quantity('64Ti')) <= 0", message: 'ask for at most 64Ti' },
)

/** A number of bytes as controllers report it: a Kubernetes quantity of less than 10 PB, which JavaScript counts exactly. */
export const quantity = z
  .string()
  .max(24)
  .regex(/^(0|[1-9][0-9]{0,15}|[1-9][0-9]{0,12}Ki|[1-9][0-9]{0,9}Mi|[1-9][0-9]{0,6}Gi|[1-9][0-9]{0,3}Ti)$/)

/** The columns that every kind shows first and last. */
export const readyColumns = [
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
] as const
export const ageColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' } as const
/** Shown by `kubectl get -o wide`. */
export const messageColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  priority: 1,
} as const

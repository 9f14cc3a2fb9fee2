import type * as z from 'zod'
import type { CelRule, Condition, ObjectMeta } from './common.ts'

/** Everything the rest of the code base needs to know about one custom resource. */
export interface Kind<Spec extends z.ZodObject = z.ZodObject, Status extends z.ZodObject = z.ZodObject> {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly shortNames: readonly string[]
  readonly scope: 'Namespaced' | 'Cluster'
  readonly description: string
  /** Set at admission on every object of the kind; its controller takes it off. Kinds without one own nothing outside the API. */
  readonly finalizer?: string
  readonly spec: Spec
  readonly status: Status
  /** CEL rules over the whole object, where `self.metadata.name` is known too. */
  readonly rules?: readonly CelRule[]
  readonly columns: readonly { name: string; type: 'string' | 'integer' | 'date'; jsonPath: string; priority?: 1 }[]
  /** Fields usable in `kubectl get --field-selector` and in watches, as JSON paths. */
  readonly selectableFields: readonly string[]
}

/** Declares a kind. Identity at run time; it exists so that the schemas' types are inferred. */
export function defineKind<Spec extends z.ZodObject, Status extends z.ZodObject>(kind: Kind<Spec, Status>) {
  return kind
}

/** What the API server adds to the status of every kind. */
export interface BaseStatus {
  conditions?: Condition[] | undefined
  observedGeneration?: number | undefined
}

/** An object as read back from the API server, with defaults filled in. Never written by hand. */
export interface Resource<K extends Kind = Kind> {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  spec: z.output<K['spec']>
  status?: z.output<K['status']> & BaseStatus
}

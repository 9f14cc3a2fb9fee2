import * as z from 'zod'
import { SYSTEM_NAMESPACE } from './system-namespace.ts'
import type { ObjectMeta } from './common.ts'

/** On each ConfigMap of the webhooks: what it is a record of. */
export const RECORD_LABEL = 'holdfast.dev/record'

/** Where the webhooks keep one ConfigMap a person and kind, and by which label they are found. */
export const brakeRecords = { namespace: SYSTEM_NAMESPACE, labelSelector: `${RECORD_LABEL}=brake` } as const

const brakeState = z.object({
  deletes: z
    .array(z.object({ uid: z.string(), at: z.iso.datetime() }))
    .describe('Deletes that count, the oldest first.'),
  latchedAt: z.iso.datetime().optional().describe('Since when everything further is refused.'),
  lastAttemptAt: z.iso.datetime().optional().describe('When the last one was refused.'),
})

/** What is remembered of one person's deletes of one kind. Times are ISO 8601, by the clock of the API server. */
export type BrakeState = Readonly<z.output<typeof brakeState>>

/** A ConfigMap as the API server holds it. */
export interface BrakeConfigMap {
  readonly metadata: ObjectMeta
  readonly data?: Readonly<Record<string, string>>
}

/** What a record is about. */
export interface Brake {
  readonly person: string
  readonly kind: string
  readonly state: BrakeState
}

/** The text of a record for its state. */
export function toBrakeData({ person, kind, state }: Brake): Record<string, string> {
  return { person: person.slice(0, MAX_PERSON), kind, state: JSON.stringify(state) }
}

/** The longest name of a person that is kept in full. */
export const MAX_PERSON = 1024

/** Reads the state out of a record. Throws when somebody else wrote it. */
export function parseBrakeState(data: Readonly<Record<string, string>>): BrakeState {
  return brakeState.parse(JSON.parse(data['state'] ?? ''))
}

/** What a record is about; undefined for one that somebody else wrote, or changed. Of that the webhooks complain. */
export function brakeOf({ data = {} }: BrakeConfigMap): Brake | undefined {
  const { person, kind, state } = data
  if (person === undefined || kind === undefined || state === undefined) return undefined
  try {
    return { person, kind, state: parseBrakeState(data) }
  } catch {
    return undefined
  }
}

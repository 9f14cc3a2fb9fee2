import type { Condition } from '../../crds/common.ts'
import type { Outcome } from './outcome.ts'

/** One step of a reconcile. It owns one condition, and never reads a condition its own controller wrote. */
export interface Phase<Scope> {
  readonly condition: string
  /** Conditions whose phases have to be done first. Without it, all the phases before. */
  readonly after?: readonly string[]
  /** The condition informs, but does not keep the object from being Ready. */
  readonly informs?: true
  run(scope: Scope): Promise<Outcome> | Outcome
}

export type Report = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

export interface Result {
  /** One for every phase, in their order. */
  readonly reports: readonly Report[]
  /** The report that `Ready` repeats; none when the object is ready. */
  readonly obstacle?: Report
  /** Every phase is done. */
  readonly completed: boolean
  /** A phase made a decision that has to be stored now. */
  readonly decided: boolean
  /** A phase removed the object. */
  readonly gone: boolean
  /** The first report that only the user can mend. */
  readonly blocked?: Report
  readonly retryAfterMs?: number
  readonly error?: Error
}

const NOT_REACHED = 'NotReached'

/** Runs every phase whose predecessors are done. The others are reported Unknown, so every owned condition is always present. */
export async function runPhases<Scope>(phases: readonly Phase<Scope>[], scope: Scope): Promise<Result> {
  const outcomes = new Map<string, Attempt>()
  for (const [index, phase] of phases.entries()) {
    const needs = phase.after ?? phases.slice(0, index).map(({ condition }) => condition)
    const reached = needs.every((condition) => outcomes.get(condition)?.type === 'done')
    outcomes.set(phase.condition, reached ? await attempt(phase, scope) : { type: 'notReached' })
    if (isFinal(outcomes.get(phase.condition))) break
  }
  const reports = phases.map(({ condition }) => toReport(condition, toTold(outcomes.get(condition))))
  const all = [...outcomes.values()]
  const retries = all.flatMap((outcome) => ('retryAfterMs' in outcome ? (outcome.retryAfterMs ?? []) : []))
  const failure = all.find((outcome) => outcome.type === 'failed')
  const blocked = reports.find(({ type }) => outcomes.get(type)?.type === 'blocked')
  const obstacle = reports.find(({ status }, index) => status !== 'True' && phases[index]?.informs === undefined)
  return {
    reports,
    ...(obstacle && { obstacle }),
    completed: reports.every(({ status }) => status === 'True'),
    decided: all.some(({ type }) => type === 'decided'),
    gone: all.some(({ type }) => type === 'gone'),
    ...(blocked && { blocked }),
    ...(retries.length > 0 && { retryAfterMs: Math.min(...retries) }),
    ...(failure && { error: failure.error }),
  }
}

type Attempt = Outcome | { readonly type: 'failed'; readonly error: Error } | { readonly type: 'notReached' }

/** Whether the phases after it have nothing to look at now. */
function isFinal(outcome: Attempt | undefined): boolean {
  return outcome?.type === 'decided' || outcome?.type === 'gone'
}

async function attempt<Scope>(phase: Phase<Scope>, scope: Scope): Promise<Attempt> {
  try {
    return await phase.run(scope)
  } catch (error) {
    return { type: 'failed', error: error instanceof Error ? error : new Error('not an error', { cause: error }) }
  }
}

type Told = Exclude<Attempt, { type: 'gone' }>

/** Nobody is told of what became of an object that is no more. */
function toTold(outcome: Attempt | undefined): Told {
  return outcome === undefined || outcome.type === 'gone' ? { type: 'notReached' } : outcome
}

function toReport(type: string, outcome: Told): Report {
  switch (outcome.type) {
    case 'done':
      return { type, status: 'True', reason: outcome.reason ?? type, message: outcome.message ?? '' }
    case 'waiting':
    case 'blocked':
      return { type, status: 'False', reason: outcome.reason, message: outcome.message }
    case 'unknown':
      return { type, status: 'Unknown', reason: outcome.reason, message: outcome.message }
    case 'failed':
      // An error's text can differ on every attempt and can hold paths or secrets. It belongs in the log.
      return {
        type,
        status: 'Unknown',
        reason: 'InternalError',
        message: 'See the log of the controllers; it is tried again',
      }
    case 'decided':
      return { type, status: 'False', reason: 'InProgress', message: 'It is decided, and is being carried out' }
    case 'notReached':
      return { type, status: 'Unknown', reason: NOT_REACHED, message: 'An earlier step is not done' }
  }
}

/** Ready repeats the report a user has to read first. */
export function summarise({ obstacle, reports }: Result, deleting: boolean): Report {
  if (deleting) return { type: 'Ready', status: 'False', reason: 'Deleting', message: obstacle?.message ?? '' }
  if (obstacle) return { ...obstacle, type: 'Ready' }
  // One that is done in a way of its own says more than that all is well.
  const told = reports.find(({ status, message }) => status === 'True' && message !== '')
  return told ? { ...told, type: 'Ready' } : { type: 'Ready', status: 'True', reason: 'Ready', message: '' }
}

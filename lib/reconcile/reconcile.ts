import type { Resource } from '../../crds/kind.ts'
import type { Budgets } from '../budgets.ts'
import type { Clock } from '../clock.ts'
import { copyJson, isSameJson } from '../json.ts'
import { news, toConditions, type News } from './conditions.ts'
import { runPhases, summarise, type Phase, type Report, type Result } from './run-phases.ts'

export interface Reconciler<R extends Resource, Scope> {
  /** Kinds that own nothing outside the API have none. */
  readonly finalizer?: string
  readonly phases: readonly Phase<Scope>[]
  /** Undoes everything `phases` can have done, from any state, any number of times. */
  readonly cleanup?: readonly Phase<Scope>[]
  /** Gathers what the phases need, which may change the status of `object`, a copy, and nothing else. */
  readonly open: (object: R) => Scope
  /** Fills in status fields that follow from what the phases found, such as the printable status. */
  readonly finish?: (scope: Scope, ready: Report) => void
  /** The part of the status that this controller owns; all of it, where nobody else writes. */
  readonly owned?: (status: StatusOf<R>, object: R) => StatusOf<R>
  /** Looks again after this time even when all is well, for what sends no events. */
  readonly resyncMs?: number
}

export type StatusOf<R extends Resource> = NonNullable<R['status']>

/** Both throw KubeError; code Conflict means that the object changed meanwhile. */
export interface Writer<R extends Resource> {
  /** Makes `to` of `from`, which are parts of a status, on top of `before`'s version. What is in neither stays as it is. */
  changeStatus(before: R, change: { readonly from: StatusOf<R>; readonly to: StatusOf<R> }): Promise<R>
  addFinalizer(before: R, finalizer: string): Promise<R | undefined>
  removeFinalizer(before: R, finalizer: string): Promise<R | undefined>
}

export interface Env<R extends Resource> {
  /** From the cache: what the API server has, or a moment ago had. Writes carry its version. */
  readonly get: (key: string) => R | undefined
  readonly writer: Writer<R>
  readonly clock: Clock
  readonly emit: (object: R, news: News) => void
  /** Since when an object waits, by uid, on the monotonic clock. Kept between calls. */
  readonly waitingSince: Map<string, number>
  /** By uid: writes of details that go on changing, such as a count of restarts. Kept between calls. */
  readonly details: Budgets
}

export interface Next {
  readonly retryAfterMs?: number
}

/** Shorter waits are not worth a write: a machine that starts in 60 ms has one status write, not three. */
const UNWORTHY_WAIT_MS = 1_000
const MAX_DECISIONS = 8
/** For `Env.details`: a host that tells of something new a thousand times a second must not write as often. */
export const DETAILS = { burst: 10, refillMs: 1_000 } as const

/** Brings one object a step closer to its spec. Returns when to look again; throws to be retried with back-off. */
export async function reconcile<R extends Resource, Scope>(
  key: string,
  reconciler: Reconciler<R, Scope>,
  env: Env<R>,
): Promise<Next> {
  let object = await withFinalizer(env.get(key), reconciler, env)
  for (let decisions = 0; object && decisions <= MAX_DECISIONS; decisions++) {
    const step = await runOnce(object, reconciler, env)
    if ('next' in step) return step.next
    object = step.stored
  }
  if (object) throw new Error(`more than ${MAX_DECISIONS} decisions in one go`)
  return {}
}

/** The object when there is something to do for it. Clusters without mutating policies get the finalizer here. */
async function withFinalizer<R extends Resource, Scope>(
  object: R | undefined,
  { finalizer }: Reconciler<R, Scope>,
  { writer }: Env<R>,
): Promise<R | undefined> {
  if (!object) return undefined
  const deleting = object.metadata.deletionTimestamp !== undefined
  if (finalizer === undefined) return deleting ? undefined : object
  const held = object.metadata.finalizers?.includes(finalizer) ?? false
  if (held) return object
  // Stored before any side effect, so that a crash cannot leave something nobody will clean up.
  return deleting ? undefined : writer.addFinalizer(object, finalizer)
}

async function runOnce<R extends Resource, Scope>(
  before: R,
  reconciler: Reconciler<R, Scope>,
  env: Env<R>,
): Promise<{ next: Next } | { stored: R }> {
  const after = { ...before, status: copyJson(before.status ?? {}) }
  const scope = reconciler.open(after)
  const deleting = before.metadata.deletionTimestamp !== undefined
  const result = await runPhases((deleting ? reconciler.cleanup : reconciler.phases) ?? [], scope)
  if (isOver(result, deleting)) return { next: await release(before, result, reconciler, env) }

  const ready = summarise(result, deleting)
  if (!result.decided || isNew(before)) {
    reconciler.finish?.(scope, ready)
    describe({ before, after, reports: [ready, ...result.reports] }, reconciler, env.clock.now())
  }
  if (result.decided) return { stored: await write(before, after, reconciler, env) }
  return { next: await report({ before, after, result, ready }, reconciler, env) }
}

// A decision changes nothing yet: to say now that the rest is unknown would make what is Ready seem not to be.
function isNew({ status }: Resource): boolean {
  return status?.conditions === undefined
}

function isOver({ gone, completed }: Result, deleting: boolean): boolean {
  return gone || (deleting && completed)
}

async function release<R extends Resource, Scope>(
  object: R,
  { gone }: Result,
  { finalizer }: Reconciler<R, Scope>,
  { writer, waitingSince }: Env<R>,
): Promise<Next> {
  waitingSince.delete(object.metadata.uid)
  if (finalizer !== undefined && !gone) await writer.removeFinalizer(object, finalizer)
  return {}
}

interface Description<R> {
  readonly before: R
  readonly after: R
  readonly reports: readonly Report[]
}

function describe<R extends Resource, Scope>(
  { before, after, reports }: Description<R>,
  { phases, cleanup = [] }: Reconciler<R, Scope>,
  now: Date,
): void {
  const { generation } = before.metadata
  const current = before.status?.conditions ?? []
  // A type of ours that a later version no longer has would stay as well: name it here then.
  const ours = new Set(['Ready', ...[...phases, ...cleanup].map(({ condition }) => condition)])
  const others = current.filter(({ type }) => !ours.has(type))
  const conditions = [...toConditions(current, reports, generation, now), ...others]
  after.status = { ...after.status, conditions, observedGeneration: generation }
}

interface Run<R> {
  readonly before: R
  readonly after: R
  readonly result: Result
  readonly ready: Report
}

/** Writes the status when it is worth it, says what is news, and turns the result into a time or a throw. */
async function report<R extends Resource, Scope>(
  { before, after, result, ready }: Run<R>,
  reconciler: Reconciler<R, Scope>,
  env: Env<R>,
): Promise<Next> {
  const quietMs = keepQuiet(before, after, { result, reconciler, env })
  if (quietMs === undefined) {
    await write(before, after, reconciler, env)
    for (const item of news(before.status?.conditions ?? [], ready, result.blocked)) env.emit(after, item)
  }
  if (result.error) throw result.error
  const isBlocked = result.blocked !== undefined && result.blocked.type === result.obstacle?.type
  return nextLook([quietMs, result.retryAfterMs, isBlocked ? undefined : reconciler.resyncMs])
}

function nextLook(candidates: readonly (number | undefined)[]): Next {
  const times = candidates.filter((ms) => ms !== undefined)
  return times.length > 0 ? { retryAfterMs: Math.min(...times) } : {}
}

async function write<R extends Resource, Scope>(
  before: R,
  after: R,
  reconciler: Reconciler<R, Scope>,
  { writer, details }: Env<R>,
): Promise<R> {
  if (!differs(before, after, reconciler)) return before
  if (hasSameGist(before, after)) details.spend(before.metadata.uid)
  return writer.changeStatus(before, { from: ownPart(before, reconciler), to: ownPart(after, reconciler) })
}

function differs<R extends Resource, Scope>(before: R, after: R, reconciler: Reconciler<R, Scope>): boolean {
  return !isSameJson(ownPart(before, reconciler), ownPart(after, reconciler))
}

function ownPart<R extends Resource, Scope>(object: R, { owned }: Reconciler<R, Scope>): StatusOf<R> {
  const status: StatusOf<R> = object.status ?? {}
  return owned ? owned(status, object) : status
}

interface Circumstances<R extends Resource, Scope> {
  readonly result: Result
  readonly reconciler: Reconciler<R, Scope>
  readonly env: Env<R>
}

/** For how many ms to say nothing of what is new. Undefined: say it now, if anything is new. */
function keepQuiet<R extends Resource, Scope>(
  before: R,
  after: R,
  { result, reconciler, env }: Circumstances<R, Scope>,
): number | undefined {
  const ms = patience(before, after, result, env)
  return ms > 0 && differs(before, after, reconciler) ? ms : undefined
}

/** How long to keep quiet, in ms. A wait that lasts is told at once; details that change all the time are told at times. */
function patience<R extends Resource>(before: R, after: R, result: Result, env: Env<R>): number {
  const { clock, waitingSince, details } = env
  const { uid } = before.metadata
  const since = waitingSince.get(uid) ?? clock.monotonicMs()
  if (result.obstacle === undefined) waitingSince.delete(uid)
  else waitingSince.set(uid, since)
  if (hasSameGist(before, after)) return details.waitMs(uid)
  return result.obstacle === undefined ? 0 : since + UNWORTHY_WAIT_MS - clock.monotonicMs()
}

/** Whether what a person looks at, or waits for, is as it was. */
function hasSameGist(before: Resource, after: Resource): boolean {
  return isSameJson(gistOf(before), gistOf(after))
}

function gistOf({ status }: Resource): unknown {
  const { status: value, reason, message } = status?.conditions?.find(({ type }) => type === 'Ready') ?? {}
  return { value, reason, message, generation: status?.observedGeneration }
}

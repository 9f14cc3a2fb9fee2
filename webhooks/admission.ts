import * as z from 'zod'
import type { Resource } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { RefusalReason } from '../crds/refusal.ts'
import { isRecyclable, toStamp } from '../policy/deletion.ts'
import { emptiesNamespaces } from './callers.ts'
import type { Batches } from './batches.ts'
import { countObjects } from './count-objects.ts'
import { isKept, readAndAsk, type BrakeReading, type Counting, type Removal } from './count-deletes.ts'
import { stampEntry } from './entries.ts'
import {
  endingsIn,
  gatherDelete,
  gatherWrite,
  type DeleteReading,
  type DeleteRequest,
  type WriteRequest,
} from './facts.ts'
import { recordNamespace, whoDeletedNamespace } from './records.ts'
import { parseObject, type AdmissionRequest, type Refusal, type Verdict } from './review.ts'
import { beyondBrake, objectionToDelete, objectionToOwner, reminder, type DeleteFacts } from './rules/delete.ts'
import { rulesFor, type KindRules } from './rules/index.ts'
import { settingsOf, type Sources } from './sources.ts'
import { goesAlongWarnings } from './rules/disk.ts'
import { namespaceReminder, unrecordedWarning } from './rules/namespace.ts'
import { hasNewOwner } from './rules/owner-references.ts'
import { nameReuseWarnings } from './rules/name-reuse.ts'
import { asksForPurge } from './rules/recycled-resource.ts'
import { recoveryWarnings } from './rules/recovery.ts'
import { count, firstObjection, refuse } from './rules/rule.ts'
import { guard } from './rules/write.ts'

const allowed: Verdict = {}

/** What a judge needs besides what it reads. */
export interface JudgeSources extends Sources {
  /** Counts deletes of a person and kind. */
  readonly brakes: Batches<Counting, boolean>
}

/** Judges a request, and writes down what has to be known of a delete that goes through. Throws where it cannot. */
export async function validate(sources: JudgeSources, request: AdmissionRequest): Promise<Verdict> {
  if (request.subResource !== '') return allowed
  const { operation, resource } = request
  if (operation === 'DELETE' && resource.resource === 'namespaces') return noteNamespace(sources, request)
  if (operation === 'DELETE' && resource.resource === 'customresourcedefinitions') return judgeCrd(sources, request)
  const rules = rulesFor(resource)
  if (!rules || operation === 'CONNECT') return allowed
  return operation === 'DELETE' ? judgeDelete(sources, request, rules) : judgeWrite(sources, request, rules)
}

async function judgeWrite(sources: JudgeSources, request: AdmissionRequest, rules: KindRules): Promise<Verdict> {
  const object = parseObject(request.object)
  const before = request.operation === 'UPDATE' ? parseObject(request.oldObject) : undefined
  const facts = await gatherWrite(sources, { rules, object, before, user: request.userInfo })
  const objection = firstObjection([...rules.guarded.map(guard), ...rules.write], facts)
  const refusal = objection ?? (await judgeRemoval(sources, { rules, object, before, user: request.userInfo }, request))
  const warnings = [...recoveryWarnings(facts), ...nameReuseWarnings(facts), ...goesAlongWarnings(facts)]
  return { refusal, warnings: refusal ? [] : warnings }
}

/** Judges a change that removes an object, now or later. Returns why it is refused. */
async function judgeRemoval(
  sources: JudgeSources,
  { rules, object, before, user }: WriteRequest,
  { dryRun }: AdmissionRequest,
): Promise<Refusal | undefined> {
  const { kind } = rules
  if (asksForPurge({ kind, object, before })) return countPurge(sources, { kind, object, user }, dryRun)
  if (!rules.delete || !before || !hasNewOwner(object, before)) return undefined
  const asked: DeleteRequest = { kind, rules: rules.delete, object, user }
  const { facts, brake } = await gatherDelete(sources, asked)
  const refusal = objectionToOwner(rules.delete, facts)
  if (dryRun || !brake || (refusal && refusal.reason !== RefusalReason.BrakeLatched)) return refusal
  const isLetThrough = await keepBrake(sources, asked, brake)
  return isLetThrough ? refusal : objectionToOwner(rules.delete, { ...facts, brakeAllows: false })
}

/** What is purged by hand is counted as deletes are. Returns why it is refused. */
async function countPurge(sources: JudgeSources, asked: Removal, dryRun: boolean): Promise<Refusal | undefined> {
  const first = await readAndAsk(sources, asked)
  const isLetThrough = dryRun ? first.verdict.allowed : await keepBrake(sources, asked, first)
  if (isLetThrough) return undefined
  return beyondBrake({ person: asked.user.username, kind: asked.kind, settings: settingsOf(sources.caches) })
}

async function judgeDelete(sources: JudgeSources, request: AdmissionRequest, rules: KindRules): Promise<Verdict> {
  const object = parseObject(request.oldObject)
  // Once admitted a delete works, however often it is repeated.
  if (object.metadata.deletionTimestamp !== undefined) return allowed
  if (rules.refuseDelete) return { refusal: rules.refuseDelete() }
  if (!rules.delete) return allowed

  const asked: DeleteRequest = { kind: rules.kind, rules: rules.delete, object, user: request.userInfo }
  const reading = await gatherDelete(sources, asked)
  const refusal = objectionToDelete(rules.delete, reading.facts)
  const final = request.dryRun ? refusal : await carryOut(sources, asked, { ...reading, refusal })
  // What it would do is of no interest where it does nothing; unless somebody is to confirm just that.
  const isReminded = !final || final.reason === RefusalReason.ConfirmationRequired
  return { refusal: final, warnings: isReminded ? reminder(rules.delete, reading.facts) : [] }
}

interface Judged extends DeleteReading {
  readonly refusal: Refusal | undefined
}

/** Writes down what was decided. Returns what is refused after all. */
async function carryOut(sources: JudgeSources, asked: DeleteRequest, { facts, brake, refusal }: Judged) {
  if (refusal && refusal.reason !== RefusalReason.BrakeLatched) return refusal
  const isLetThrough = brake === undefined || (await keepBrake(sources, asked, brake))
  if (refusal) return refusal
  if (!isLetThrough) return objectionToDelete(asked.rules, { ...facts, brakeAllows: false })
  await stamp(sources, asked, facts)
  return undefined
}

/** Writes down what the brake decided. Returns whether it lets the delete through after all. */
async function keepBrake(sources: JudgeSources, asked: Removal, first: BrakeReading): Promise<boolean> {
  if (isKept(first)) return first.verdict.allowed
  return sources.brakes.join(`${asked.kind.kind} ${asked.user.username}`, { sources, asked, first })
}

async function stamp({ kube }: Sources, { rules }: DeleteRequest, facts: DeleteFacts): Promise<void> {
  const { kind, object, person, decision } = facts
  if (!decision || !isRecyclable(kind.kind)) return
  const by = (await personBehind(kube, person, object)) ?? person
  const lastSeen = rules.contents?.(object)
  await stampEntry(kube, { kind: kind.kind, object, deletion: toStamp(by, decision), lastSeen })
}

/** Who deleted the namespace, where that is why something in it is deleted. */
async function personBehind(kube: Sources['kube'], person: string, { metadata }: Resource) {
  if (metadata.namespace === undefined || !emptiesNamespaces(person)) return undefined
  return whoDeletedNamespace(kube, metadata.namespace)
}

/** Most namespaces are none of ours: whatever happens, none is kept from going, or waits for longer than this. */
const NOTED_WITHIN_MS = 2_000

async function noteNamespace(sources: Sources, request: AdmissionRequest): Promise<Verdict> {
  const { name, uid, deletionTimestamp } = parseObject(request.oldObject).metadata
  if (deletionTimestamp !== undefined) return allowed
  const endings = endingsIn(sources, name)
  const warnings = namespaceReminder(name, endings)
  if (request.dryRun) return { warnings }
  try {
    const deleted = { name, uid, person: request.userInfo.username, at: sources.now() }
    await within(NOTED_WITHIN_MS, recordNamespace(sources.kube, deleted))
    return { warnings }
  } catch (error) {
    sources.onUnrecorded?.(error)
    return { warnings: endings.length > 0 ? [...warnings, unrecordedWarning(request.userInfo.username)] : warnings }
  }
}

/** Throws once the time is over. What is under way then may still come to its end. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`it took longer than ${ms} ms`)), ms)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

const crd = z.object({ spec: z.object({ group: z.string(), names: z.object({ plural: z.string() }) }) })

async function judgeCrd({ kube }: Sources, request: AdmissionRequest): Promise<Verdict> {
  const { group, names } = crd.parse(request.oldObject).spec
  const objects = await countObjects(kube, { group, plural: names.plural })
  if (objects === 0) return allowed
  const name = `${names.plural}.${group}`
  const first =
    names.plural === RecycledResource.plural ? 'recover or purge these first (spec.action)' : 'delete these first'
  const message = `the CustomResourceDefinition ${name} has ${count(objects, 'object')}, which would be deleted with it: ${first}`
  return { refusal: refuse('InUse', message) }
}

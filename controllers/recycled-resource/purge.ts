import { AgentError } from '../../agent/errors.ts'
import type { HostAgent } from '../../agent/contract.ts'
import { RecycledResourceReason } from '../../crds/recycled-resource.ts'
import { decided, done, doneFor, gone, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Contents } from '../../policy/recycled-contents.ts'
import { refusalText } from '../fleet/refusal.ts'
import type { Scope } from './scope.ts'
import { stillThere } from './still-there.ts'

const RETRY_MS = 5_000
/** Nobody tells when a machine gives a disk back. */
const LOOK_AGAIN_MS = 30_000

/** Decides that what the entry holds is destroyed; at a time, once the API server has just said that it is so late. */
export async function beginPurge({ entry, status, deps }: Scope, notBeforeMs = 0): Promise<Outcome> {
  const { resource } = entry.spec
  const objection = useObjection(entry, deps)
  if (objection) return objection
  const found = await deps.read(resource)
  if (found?.metadata.uid === resource.uid) return stillThere(found)
  const earlyMs = notBeforeMs - deps.now().getTime()
  if (earlyMs > 0) return doneFor(earlyMs)
  status.phase = 'Purging'
  return decided
}

/**
 * A guest that nobody knew of may have it: once it is being destroyed, there is no way back for it. Only its host can
 * tell.
 */
function useObjection({ spec: { contents } }: Scope['entry'], { fleet }: Scope['deps']): Outcome | undefined {
  const { host: name = '', disks = [] } = contents ?? {}
  if (disks.length === 0) return undefined
  const host = fleet.get(name)
  if (!host) return notFound(name, LOOK_AGAIN_MS)
  if (host.state !== 'Connected') return unreachable(name, LOOK_AGAIN_MS)
  const [holder] = disks.flatMap(({ id }) => host.machines.holderOf(id) ?? [])
  if (!holder) return undefined
  const message = `Machine ${holder.id} of Host ${name} has a disk of it: recover this entry and adopt the machine, or have it let the disk go`
  return waiting(RecycledResourceReason.InUse, message, LOOK_AGAIN_MS)
}

/** Puts an entry back that nobody may destroy: somebody else than its controller wrote that phase. */
export function endPurge({ status }: Scope): Outcome {
  status.phase = 'Binned'
  return decided
}

/** Destroys what the entry holds on its hosts, and then the entry. */
export async function purge(scope: Scope): Promise<Outcome> {
  const { entry, deps } = scope
  const outcome = await destroy(scope, entry.spec.contents ?? {})
  if (outcome.type !== 'done') return outcome
  const { kind, namespace, name } = entry.spec.resource
  await deps.bin.remove(entry)
  deps.emit(entry, { type: 'Normal', reason: 'Purged', message: `${kind} ${namespace}/${name} is destroyed` })
  return gone
}

/** Has hosts destroy what nobody else stands for. It may be gone already. */
export async function destroy(scope: Scope, contents: Partial<Contents>): Promise<Outcome> {
  for (const order of [...ofDisks(scope, contents), ...ofDownloads(scope, contents)]) {
    const outcome = await carryOut(scope, order)
    if (outcome.type !== 'done') return outcome
  }
  return done
}

interface Order {
  readonly host: string
  readonly give: (agent: HostAgent) => Promise<void>
  /** Who deletes a Host gives up what was downloaded there, and not the disks. */
  readonly needsHost: boolean
}

function ofDisks({ entry, deps }: Scope, { host = '', disks = [] }: Partial<Contents>): Order[] {
  // One that somebody stands for is theirs, whatever an entry says; so is one that another entry holds too.
  const free = disks.filter(({ id }) => {
    const others = deps.bin.ofFile(id).filter(({ metadata }) => metadata.uid !== entry.metadata.uid)
    return others.length === 0 && deps.disksOfFile(id).every(({ status }) => status?.id !== id)
  })
  return free.map(({ id, dataStorage }) => ({
    host,
    needsHost: true,
    give: (agent) => agent.deleteDisk(dataStorage, id),
  }))
}

function ofDownloads({ entry, deps }: Scope, { download }: Partial<Contents>): Order[] {
  if (!download) return []
  const { sha256, hosts } = download
  const entries = deps.bin.ofDownload(sha256).filter(({ metadata }) => metadata.uid !== entry.metadata.uid)
  const kept = new Set([
    ...deps.downloadedAs(sha256).flatMap(({ status }) => status?.downloadHosts ?? []),
    ...entries.flatMap(({ spec }) => spec.contents?.download?.hosts ?? []),
  ])
  const own = hosts.filter((host) => !kept.has(host))
  return own.map((host) => ({ host, needsHost: false, give: (agent) => agent.deleteImage(sha256) }))
}

async function carryOut({ deps }: Scope, { host: name, give, needsHost }: Order): Promise<Outcome> {
  const host = deps.fleet.get(name)
  if (!host && !needsHost) return done
  if (!host) return notFound(name, RETRY_MS)
  if (host.state !== 'Connected') return unreachable(name)
  try {
    await give(host.agent)
    return done
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'UNREACHABLE') return unreachable(name, RETRY_MS)
    return waiting(RecycledResourceReason.HostRefused, refusalText(name, error), RETRY_MS)
  }
}

function notFound(name: string, retryAfterMs: number): Outcome {
  const message = `There is no Host ${name}, where the file is: create it again`
  return waiting(RecycledResourceReason.HostNotFound, message, retryAfterMs)
}

function unreachable(name: string, retryAfterMs?: number): Outcome {
  const message = `Host ${name} does not answer; the file is destroyed when it does`
  return waiting(RecycledResourceReason.HostUnreachable, message, retryAfterMs)
}

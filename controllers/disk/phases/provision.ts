import type { DesiredDisk } from '../../../agent/contract.ts'
import { DiskCondition, DiskReason, type Disk } from '../../../crds/disk.ts'
import type { Image } from '../../../crds/image.ts'
import { originOf } from '../../../crds/recycled-resource.ts'
import { blocked, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import { knownBytes, toBytes } from '../../../policy/quantity.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { heldByOther } from '../holder.ts'
import { claimForMaker } from '../maker.ts'
import type { Scope } from '../scope.ts'
import { agentOf, putDisk, RETRY_MS, toDesiredDisk } from './host-disk.ts'

/** Has the host make the disk. */
export const provisionDisk: Phase<Scope> = {
  condition: DiskCondition.Provisioned,

  async run(scope) {
    const { disk, status } = scope
    const objection = objectionToFile(disk)
    if (objection) return objection
    claimForMaker(scope)
    const outcome = await (status.size === undefined ? makeIt(scope) : lookForIt(scope))
    return outcome.type === 'done' ? (heldByOther(scope) ?? outcome) : outcome
  },
}

async function makeIt(scope: Scope): Promise<Outcome> {
  const agent = agentOf(scope)
  if ('type' in agent) return agent
  const order = withImage(scope, toDesiredDisk(scope))
  if ('type' in order) return order
  const answer = await putDisk(scope, agent, order)
  if ('type' in answer) return answer
  if (answer.state === 'Creating') return waiting(DiskReason.Creating, 'The disk is being made', RETRY_MS)
  scope.deps.made.note(scope.disk)
  noteSeen(scope)
  return done
}

/** A status can be written by others too: a Disk that says without a reason that it is a file of another name gets none. */
function objectionToFile({ metadata, spec, status }: Disk): Outcome | undefined {
  const id = status?.id ?? metadata.uid
  const isItsOwn = id === metadata.uid || id === spec.source?.existing?.id || originOf(metadata) !== undefined
  if (isItsOwn) return undefined
  const message = `Its status names the file ${id}, which it does not stand for: somebody else than Holdfast wrote that; delete this Disk`
  return blocked(DiskReason.AdoptionRefused, message)
}

/**
 * Asks the host once a session whether a disk that was made is still there: after a restore, or in a folder where somebody
 * cleaned up, it may not be. Whatever else the host answers says nothing about that.
 */
async function lookForIt(scope: Scope): Promise<Outcome> {
  const { disk, status, deps } = scope
  const host = deps.fleet.get(status.host ?? '')
  if (host?.state !== 'Connected' || deps.seen.get(disk.metadata.uid) === host.session) return done
  const sizeBytes = knownBytes(status.size) ?? toBytes(disk.spec.size)
  const answer = await putDisk(scope, host.agent, { ...toDesiredDisk(scope), sizeBytes, mustExist: true })
  if ('type' in answer) return answer.type === 'blocked' && answer.reason === DiskReason.FileMissing ? answer : done
  noteSeen(scope)
  return done
}

function noteSeen({ disk, status, deps }: Scope): void {
  const { session } = deps.fleet.get(status.host ?? '') ?? {}
  if (session !== undefined) deps.seen.set(disk.metadata.uid, session)
}

function withImage({ disk, status, namespace, deps }: Scope, order: DesiredDisk): DesiredDisk | Outcome {
  const { source } = disk.spec
  // A file of another name than its own was made before it.
  if (order.id !== disk.metadata.uid) return { ...order, mustExist: true }
  return source?.image ? ofImage(source.image.name, { disk, status, namespace, deps }, order) : order
}

function ofImage(name: string, { status, namespace, deps }: Scope, order: DesiredDisk): DesiredDisk | Outcome {
  const image = deps.image(namespace, name)
  if (image?.status?.sha256 === undefined) return waiting(DiskReason.ImageNotReady, `Image ${name} is not ready`)
  const { sha256, hosts = [] } = image.status
  const { host = '' } = status
  return hosts.includes(host) ? { ...order, image: toFile(image, sha256) } : missing(image, host)
}

function toFile({ spec: { source, format } }: Image, sha256: string): DesiredDisk['image'] {
  return { ...(source.file && { path: source.file.path }), format, sha256 }
}

function missing({ metadata: { name }, spec }: Image, host: string): Outcome {
  if (!spec.source.file) {
    return waiting(DiskReason.ImageNotReady, `Host ${host} does not have Image ${name} yet: it downloads it by itself`)
  }
  const message = `Host ${host} does not have the file of Image ${name}: put it into its import folder`
  return blocked(DiskReason.ImageNotReady, message)
}

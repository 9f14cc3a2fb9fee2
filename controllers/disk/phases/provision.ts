import type { DesiredDisk } from '../../../agent/contract.ts'
import { DiskCondition, DiskReason, type Disk } from '../../../crds/disk.ts'
import { makerOf } from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Scope } from '../scope.ts'
import { agentOf, putDisk, RETRY_MS, toDesiredDisk } from './host-disk.ts'

/** Has the host make the disk. */
export const provisionDisk: Phase<Scope> = {
  condition: DiskCondition.Provisioned,

  async run(scope) {
    const { disk, status } = scope
    claimForMaker(disk, status)
    if (status.size !== undefined) return done
    const agent = agentOf(scope)
    if ('type' in agent) return agent
    const order = withImage(scope, toDesiredDisk(scope))
    if ('type' in order) return order
    const answer = await putDisk(scope, agent, order)
    if ('type' in answer) return answer
    return answer.state === 'Creating' ? waiting(DiskReason.Creating, 'The disk is being made', RETRY_MS) : done
  },
}

/** A disk that was made for one machine is attached to it from its first moment; its label says so. */
function claimForMaker({ metadata }: Disk, status: Scope['status']): void {
  const machineId = makerOf(metadata)
  if (machineId !== undefined) status.attachedTo = { virtualMachine: metadata.name.replace(/-root$/, ''), machineId }
}

function withImage({ disk, status, namespace, deps }: Scope, order: DesiredDisk): DesiredDisk | Outcome {
  const name = disk.spec.source?.image?.name
  if (name === undefined) return order
  const image = deps.image(namespace, name)
  if (image?.status?.sha256 === undefined) return waiting(DiskReason.ImageNotReady, `Image ${name} is not ready`)
  const { sha256, hosts = [] } = image.status
  if (hosts.includes(status.host ?? '')) {
    return { ...order, image: { path: image.spec.source.file.path, format: image.spec.format, sha256 } }
  }
  const message = `Host ${status.host} does not have the file of Image ${name}: put it into its import folder`
  return blocked(DiskReason.ImageNotReady, message)
}

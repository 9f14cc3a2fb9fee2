import type { DesiredDisk, HostAgent } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { DiskCondition, DiskReason, type Disk } from '../../../crds/disk.ts'
import { MACHINE_ID_LABEL } from '../../../crds/virtual-machine.ts'
import { blocked, done, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toBytes, toQuantity } from '../../../policy/quantity.ts'
import type { Scope } from '../scope.ts'

const ANSWER_MS = 2_000
const RETRY_MS = 5_000

/** Has the host make the disk, or grow it. */
export const provisionDisk: Phase<Scope> = {
  condition: DiskCondition.Provisioned,

  async run(scope) {
    const { disk, status, deps } = scope
    claimForMaker(disk, status)
    if (status.size !== undefined && toBytes(status.size) >= toBytes(disk.spec.size)) return done
    const { host: name = '' } = status
    const host = deps.fleet.get(name)
    if (host?.state !== 'Connected') return unknown(DiskReason.HostUnreachable, `Host ${name} does not answer`)
    const order = toDesiredDisk(scope)
    return 'type' in order ? order : carryOut(scope, host.agent, order)
  },
}

/** A disk that was made for one machine is attached to it from its first moment; its label says so. */
function claimForMaker({ metadata: { name, labels } }: Disk, status: Scope['status']): void {
  const machineId = labels?.[MACHINE_ID_LABEL]
  if (machineId !== undefined) status.attachedTo = { virtualMachine: name.replace(/-root$/, ''), machineId }
}

function toDesiredDisk(scope: Scope): DesiredDisk | Outcome {
  const { disk, status } = scope
  const source = disk.spec.source?.image?.name
  const order = {
    id: status.id ?? disk.metadata.uid,
    storage: status.dataStorage ?? '',
    sizeBytes: toBytes(disk.spec.size),
  }
  return source === undefined || status.size !== undefined ? order : withImage(scope, order, source)
}

function withImage({ status, namespace, deps }: Scope, order: DesiredDisk, name: string): DesiredDisk | Outcome {
  const image = deps.image(namespace, name)
  if (image?.status?.sha256 === undefined) return waiting(DiskReason.ImageNotReady, `Image ${name} is not ready`)
  const { sha256, hosts = [] } = image.status
  if (hosts.includes(status.host ?? '')) {
    return { ...order, image: { path: image.spec.source.file.path, format: image.spec.format, sha256 } }
  }
  const message = `Host ${status.host} does not have the file of Image ${name}: put it into its import folder`
  return blocked(DiskReason.ImageNotReady, message)
}

async function carryOut({ status }: Scope, agent: HostAgent, order: DesiredDisk): Promise<Outcome> {
  try {
    const observed = await agent.putDisk(order, ANSWER_MS)
    if (observed.state === 'Creating') return waiting(DiskReason.Creating, 'The disk is being made', RETRY_MS)
    status.size = toQuantity(observed.sizeBytes)
    if (observed.state === 'Ready') return done
    return waiting(DiskReason.RestartRequired, 'The disk grows at the next start of its machine', RETRY_MS)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'UNREACHABLE') return unknown(DiskReason.HostUnreachable, `Host ${status.host} does not answer`)
    if (error.code === 'BAD_REQUEST') return blocked(DiskReason.HostRefused, error.message)
    return waiting(DiskReason.HostRefused, error.message, RETRY_MS)
  }
}

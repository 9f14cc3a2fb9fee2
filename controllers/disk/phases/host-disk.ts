import type { DesiredDisk, HostAgent, ObservedDisk } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { DiskReason, fileIdOf } from '../../../crds/disk.ts'
import { blocked, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import { toBytes, toQuantity } from '../../../policy/quantity.ts'
import { refusalText } from '../../fleet/refusal.ts'
import type { Scope } from '../scope.ts'

const ANSWER_MS = 2_000
export const RETRY_MS = 5_000
const LOOK_AGAIN_MS = 30_000

/** The order for the host, apart from the image that a new disk is made from. */
export function toDesiredDisk({ disk, status }: Scope): DesiredDisk {
  return {
    id: fileIdOf(disk),
    storage: status.dataStorage ?? '',
    sizeBytes: toBytes(disk.spec.size),
  }
}

/** The agent of the disk's host, or why nobody can tell. */
export function agentOf({ status, deps }: Scope): HostAgent | Outcome {
  const host = deps.fleet.get(status.host ?? '')
  return host?.state === 'Connected' ? host.agent : unreachable(status)
}

/** Has the host bring the disk to its order, and notes the size that it has then. Returns it, or why that failed. */
export async function putDisk(
  { status }: Scope,
  agent: HostAgent,
  order: DesiredDisk,
): Promise<ObservedDisk | Outcome> {
  try {
    const observed = await agent.putDisk(order, ANSWER_MS)
    if (observed.state !== 'Creating') status.size = toQuantity(observed.sizeBytes)
    return observed
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'UNREACHABLE') return unreachable(status, RETRY_MS)
    const message = refusalText(status.host ?? '', error)
    if (error.code === 'DISK_NOT_FOUND') return blocked(DiskReason.FileMissing, message, LOOK_AGAIN_MS)
    if (error.code === 'BAD_REQUEST') return blocked(DiskReason.HostRefused, message)
    return waiting(DiskReason.HostRefused, message, RETRY_MS)
  }
}

function unreachable({ host = '' }: Scope['status'], retryAfterMs?: number): Outcome {
  return unknown(DiskReason.HostUnreachable, `Host ${host} does not answer`, retryAfterMs)
}

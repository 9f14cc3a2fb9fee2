import { AgentError } from '../../../agent/errors.ts'
import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { isHeld } from '../../../policy/attachment.ts'
import { refusalText } from '../../fleet/refusal.ts'
import type { Scope } from '../scope.ts'

const RETRY_MS = 5_000

/** Deletes the file, once no machine uses it any more. */
export const removeDisk: Phase<Scope> = {
  condition: DiskCondition.CleanedUp,

  async run(scope) {
    const { disk, status } = scope
    const storage = status.dataStorage ?? disk.spec.dataStorage
    if (storage === undefined) return done // It was never on a storage.
    const user = userOf(scope)
    if (user !== undefined) {
      return waiting(
        DiskReason.InUse,
        `The disk is attached to VirtualMachine ${user}: it is deleted once it is detached there, or the machine is deleted`,
      )
    }
    return deleteFile(scope, storage)
  },
}

/** The machine that the disk is attached to, as long as it is there. */
function userOf({ status, namespace, deps }: Scope): string | undefined {
  const { attachedTo } = status
  if (!attachedTo) return undefined
  const { virtualMachine: name } = attachedTo
  return isHeld(attachedTo, deps.virtualMachine(namespace, name)) ? name : undefined
}

async function deleteFile({ disk, status, deps }: Scope, storage: string): Promise<Outcome> {
  // The host still knows the folder when the DataStorage is gone, or was made anew elsewhere.
  const name = status.host ?? deps.candidates.storage(storage)?.host
  if (name === undefined) return done // A storage that never was has none of our files.
  const host = deps.fleet.get(name)
  if (!host) return waiting(DiskReason.HostNotFound, `There is no Host ${name}, where the file is: create it again`)
  if (host.state !== 'Connected') return unreachable(name)
  try {
    await host.agent.deleteDisk(storage, status.id ?? disk.metadata.uid)
    deps.seen.delete(disk.metadata.uid)
    return done
  } catch (error) {
    if (error instanceof AgentError) return refused(name, error)
    throw error
  }
}

function refused(host: string, error: AgentError): Outcome {
  if (error.code === 'UNREACHABLE') return unreachable(host, RETRY_MS)
  const reason = error.code === 'DISK_IN_USE' ? DiskReason.InUse : DiskReason.HostRefused
  return waiting(reason, refusalText(host, error), RETRY_MS)
}

function unreachable(host: string, retryAfterMs?: number): Outcome {
  const message = `Host ${host} does not answer; the file is deleted when it does`
  return waiting(DiskReason.HostUnreachable, message, retryAfterMs)
}

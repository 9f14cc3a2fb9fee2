import { DiskCondition, DiskReason } from '../../../crds/disk.ts'
import { done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { storageObjection } from '../../../policy/placement.ts'
import { knownBytes, toBytes } from '../../../policy/quantity.ts'
import type { Scope } from '../scope.ts'
import { agentOf, putDisk, RETRY_MS, toDesiredDisk } from './host-disk.ts'

const SOON_MS = 100

/** Has the host grow the disk. The disk can be used meanwhile, as it is. */
export const growDisk: Phase<Scope> = {
  condition: DiskCondition.SpecApplied,
  informs: true,

  async run(scope) {
    const { disk, status } = scope
    if ((knownBytes(status.size) ?? 0) >= toBytes(disk.spec.size)) return done
    const objection = roomObjection(scope)
    if (objection !== undefined) {
      const next =
        'it keeps its size until there is room: delete disks there, ask for less, or see spec.placement of PlatformSettings'
      return waiting(DiskReason.NoDataStorageFits, `${objection}: ${next}`, RETRY_MS)
    }
    // Until this is stored, the size can be taken back.
    if (saysNoRoom(scope)) return waiting(DiskReason.Growing, 'There is room: the disk is made larger', SOON_MS)
    const agent = agentOf(scope)
    if ('type' in agent) return agent
    const answer = await putDisk(scope, agent, { ...toDesiredDisk(scope), mustExist: true })
    if ('type' in answer) return answer
    if (answer.state === 'Ready') return done
    const machine = status.attachedTo?.virtualMachine
    return machine === undefined
      ? waiting(DiskReason.Growing, 'The disk is being made larger', RETRY_MS)
      : waiting(
          DiskReason.RestartRequired,
          `VirtualMachine ${machine} has the disk open and does not take the new size: it is tried again, and done when the machine is off`,
          RETRY_MS,
        )
  },
}

function saysNoRoom({ status: { conditions = [] } }: Scope): boolean {
  const { SpecApplied } = DiskCondition
  return conditions.some(({ type, reason }) => type === SpecApplied && reason === DiskReason.NoDataStorageFits)
}

/** Why there is no room for the size that is asked for. If there is, it counts from now on. */
function roomObjection({ disk, status, deps: { candidates, ledger } }: Scope): string | undefined {
  const storage = candidates.storage(status.dataStorage ?? '')
  if (!storage) return undefined // Its host tells of the folder, which may still be there.
  const sizeBytes = toBytes(disk.spec.size)
  const provisionedBytes = storage.provisionedBytes - ledger.diskUse(disk)
  const objection = storageObjection({ ...storage, provisionedBytes }, sizeBytes, candidates.settings())
  if (objection === undefined) ledger.growDisk(disk, sizeBytes)
  return objection
}

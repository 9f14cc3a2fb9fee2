import type { Disk } from '../../../crds/disk.ts'
import { makerOf, VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Scope } from '../scope.ts'

/** Says what of the spec is still to come, now or at the next start, and gives back the disks that the machine no longer has. */
export const applySpec: Phase<Scope> = {
  condition: VirtualMachineCondition.SpecApplied,
  after: [
    VirtualMachineCondition.Placed,
    VirtualMachineCondition.DisksReady,
    VirtualMachineCondition.PowerStateReached,
  ],
  informs: true,

  async run(scope) {
    const { vm, status, observed } = scope
    const { host } = vm.spec.placement
    if (host !== undefined && host !== status.host) {
      return blocked(
        VirtualMachineReason.PlacementFixed,
        `The machine stays on host ${status.host}, where its disks are: set spec.placement.host back`,
      )
    }
    await releaseDetached(scope)
    const pending = observed?.pendingRestart ?? []
    if (pending.length > 0) {
      const message = `Changes of ${pending.join(', ')} take effect at the next start: request Restart in spec.power`
      return waiting(VirtualMachineReason.RestartRequired, message)
    }
    return pendingDisk(scope) ?? done
  },
}

/** What the guest has yet to get or to give back, while it runs. */
function pendingDisk({ observed, status, deps }: Scope): Outcome | undefined {
  const [first] = observed?.pendingDisks ?? []
  if (!first) return undefined
  const its = deps
    .attachedTo(status.machineId ?? '')
    .find((disk) => (disk.status?.id ?? disk.metadata.uid) === first.id)
  const name = its?.metadata.name ?? first.id
  const why = first.message === undefined ? '' : `: ${first.message}`
  if (first.action === 'Attach')
    return waiting(VirtualMachineReason.AttachingDisk, `Disk ${name} is being attached${why}`)
  if (first.isKept !== true) return waiting(VirtualMachineReason.DetachingDisk, `Disk ${name} is being detached${why}`)
  const message = `The guest does not give Disk ${name} back: unmount it there, or request Restart in spec.power`
  return blocked(VirtualMachineReason.GuestKeepsDisk, message)
}

/** A disk that its host has not given back may still be open there. */
async function releaseDetached({ status, disks, observed, deps }: Scope): Promise<void> {
  const pending = observed?.pendingDisks?.map(({ id }) => id) ?? []
  const isPending = (disk: Disk) => pending.includes(disk.status?.id ?? disk.metadata.uid)
  const kept = new Set(disks.map(({ metadata: { uid } }) => uid))
  const detached = deps.attachedTo(status.machineId ?? '').filter(({ metadata }) => {
    return !kept.has(metadata.uid) && makerOf(metadata) === undefined // The label attaches a disk for good.
  })
  for (const disk of detached.filter((one) => !isPending(one))) await deps.setAttachment(disk, undefined)
}

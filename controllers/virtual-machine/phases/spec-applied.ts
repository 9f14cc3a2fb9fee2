import { MACHINE_ID_LABEL, VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Scope } from '../scope.ts'

/** Says what of the spec waits for the next start, and gives back the disks that the machine no longer has. */
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
    const pending = observed?.pendingRestart ?? []
    if (pending.length > 0) {
      const message = `Changes of ${pending.join(', ')} take effect at the next start: request Restart in spec.power`
      return waiting(VirtualMachineReason.RestartRequired, message)
    }
    await releaseDetached(scope)
    return done
  },
}

async function releaseDetached({ status, disks, deps }: Scope): Promise<void> {
  const kept = new Set(disks.map(({ metadata: { uid } }) => uid))
  const detached = deps.attachedTo(status.machineId ?? '').filter(({ metadata: { uid, labels } }) => {
    return !kept.has(uid) && labels?.[MACHINE_ID_LABEL] === undefined // The label attaches a disk for good.
  })
  for (const disk of detached) await deps.setAttachment(disk, undefined)
}

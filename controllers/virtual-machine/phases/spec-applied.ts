import { fileIdOf } from '../../../crds/disk.ts'
import { VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { release } from '../allocate.ts'
import type { Scope } from '../scope.ts'
import { unnamedDisks } from '../unnamed-disks.ts'

/** Nobody tells a machine that there is room on its host again. */
const LOOK_AGAIN_MS = 30_000
/** Where the order for the host says it otherwise. */
const fieldOfSpec: Readonly<Record<string, string>> = { memoryBytes: 'memory' }

/** Says what of the spec is still to come, now or at the next start. */
export const applySpec: Phase<Scope> = {
  condition: VirtualMachineCondition.SpecApplied,
  after: [
    VirtualMachineCondition.Placed,
    VirtualMachineCondition.DisksReady,
    VirtualMachineCondition.PowerStateReached,
  ],
  informs: true,

  run(scope) {
    const { vm, status, observed } = scope
    release(scope)
    const { host } = vm.spec.placement
    if (host !== undefined && host !== status.host) {
      return blocked(
        VirtualMachineReason.PlacementFixed,
        `The machine stays on host ${status.host}, where its disks are: set spec.placement.host back`,
      )
    }
    if (scope.shortage !== undefined) {
      return waiting(VirtualMachineReason.HostFull, scope.shortage, LOOK_AGAIN_MS)
    }
    const pending = (observed?.pendingRestart ?? []).map((field) => fieldOfSpec[field] ?? field)
    if (pending.length > 0) {
      const message = `Changes of ${pending.join(', ')} take effect at the next start: request Restart in spec.power`
      return waiting(VirtualMachineReason.RestartRequired, message)
    }
    return pendingDisk(scope) ?? unnamedDisk(scope) ?? done
  },
}

function unnamedDisk(scope: Scope): Outcome | undefined {
  const [first] = scope.observed ? unnamedDisks(scope, scope.observed) : []
  if (!first) return undefined
  const name = first.disk?.metadata.name ?? first.id
  const message = `The guest has Disk ${name}, which spec.disks does not name: name it there, or request Restart in spec.power to have it taken out`
  return blocked(VirtualMachineReason.DiskInUse, message)
}

/** What the guest has yet to get or to give back, while it runs. */
function pendingDisk({ observed, status, deps }: Scope): Outcome | undefined {
  const [first] = observed?.pendingDisks ?? []
  if (!first) return undefined
  const its = deps.attachedTo(status.machineId ?? '').find((disk) => fileIdOf(disk) === first.id)
  const name = its?.metadata.name ?? first.id
  const why = first.message === undefined ? '' : `: ${first.message}`
  if (first.action === 'Attach')
    return waiting(VirtualMachineReason.AttachingDisk, `Disk ${name} is being attached${why}`)
  if (first.isKept !== true) return waiting(VirtualMachineReason.DetachingDisk, `Disk ${name} is being detached${why}`)
  const message = `The guest does not give Disk ${name} back: unmount it there, or request Restart in spec.power`
  return blocked(VirtualMachineReason.GuestKeepsDisk, message)
}

import { originOf } from '../../../crds/recycled-resource.ts'
import { VirtualMachineCondition, VirtualMachineReason } from '../../../crds/virtual-machine.ts'
import { blocked, done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { imageObjection } from '../../../policy/image-use.ts'
import type { Scope } from '../scope.ts'

/** Waits for the image that the root disk is made from. A machine that is placed, adopted or comes back needs its image no more. */
export const requireImage: Phase<Scope> = {
  condition: VirtualMachineCondition.ImageReady,

  run({ vm, status, namespace, deps }) {
    const { imageRef, size } = vm.spec.rootDisk
    const comesBack = originOf(vm.metadata) !== undefined && status.machineId === undefined
    if (!imageRef || vm.spec.adopt || status.host !== undefined || comesBack) return done
    const objection = imageObjection(deps.image(namespace, imageRef.name), { namespace, name: imageRef.name, size })
    if (!objection) return done
    const reason = VirtualMachineReason[objection.reason]
    // What a root disk is made of stays as it was written.
    const anew = objection.reason === 'DiskTooSmall' ? ', in a machine that you create anew' : ''
    return objection.final ? blocked(reason, `${objection.message}${anew}`) : waiting(reason, objection.message)
  },
}

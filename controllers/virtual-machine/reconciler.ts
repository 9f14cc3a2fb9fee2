import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Reconciler } from '../../lib/reconcile/reconcile.ts'
import { prepareDisks } from './phases/disks.ts'
import { requireImage } from './phases/image.ts'
import { placeMachine } from './phases/place.ts'
import { reachPowerState } from './phases/power.ts'
import { removeMachine } from './phases/remove.ts'
import { takeRequest } from './phases/request.ts'
import { applySpec } from './phases/spec-applied.ts'
import { printableStatus } from './printable-status.ts'
import { openScope, type Deps, type Scope } from './scope.ts'
import { noteUnnamedDisks } from './unnamed-disks.ts'

/** From a manifest to a running guest. Each phase relies on those before it, unless it names others. */
export function virtualMachineReconciler(deps: Deps): Reconciler<VirtualMachine, Scope> {
  return {
    finalizer: VirtualMachine.finalizer ?? '',
    phases: [requireImage, placeMachine, takeRequest, prepareDisks, reachPowerState, applySpec],
    cleanup: [removeMachine],
    open: (vm) => openScope(vm, deps),
    finish(scope, ready) {
      scope.status.printableStatus = printableStatus(scope, ready)
      noteRestarts(scope)
      noteUnnamedDisks(scope)
    },
  }
}

/** A host that does not answer has nothing to say about that: what it said last stays. */
function noteRestarts({ status, observed }: Scope): void {
  if (!observed) return
  const { restarts, retryAt } = observed
  delete status.restarts
  delete status.restartAt
  if (restarts > 0) status.restarts = restarts
  if (retryAt !== undefined) status.restartAt = retryAt
}

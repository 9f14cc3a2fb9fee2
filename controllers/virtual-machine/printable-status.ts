import type { Report } from '../../lib/reconcile/run-phases.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** The state in one word, with the words that users of KubeVirt know. */
export function printableStatus({ vm, status, observed }: Scope, ready: Report): string {
  if (vm.metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (status.host === undefined) {
    return ready.reason === VirtualMachineReason.NoHostFits ? 'ErrorUnschedulable' : 'Provisioning'
  }
  if (ready.reason === VirtualMachineReason.HostUnreachable || ready.reason === VirtualMachineReason.HostNotFound)
    return 'Unknown'
  if (observed) return ofState(observed.state, observed.power, observed.restarts)
  return ready.status === 'Unknown' ? 'Unknown' : 'Provisioning'
}

type Observed = NonNullable<Scope['observed']>

function ofState(state: Observed['state'], power: Observed['power'], restarts: number): string {
  if (state === 'Stopped' && power === 'Running') return restarts > 0 ? 'CrashLoopBackOff' : 'Starting'
  return state === 'Absent' ? 'Stopped' : state
}

import type { Report } from '../../lib/reconcile/run-phases.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import type { Scope } from './scope.ts'

/** The state in one word, with the words that users of KubeVirt know. */
export function printableStatus({ vm, status, observed }: Scope, ready: Report): string {
  if (vm.metadata.deletionTimestamp !== undefined) return 'Terminating'
  if (status.host === undefined) {
    return ready.reason === VirtualMachineReason.NoHostFits ? 'ErrorUnschedulable' : 'Provisioning'
  }
  if (silence.has(ready.reason)) return 'Unknown'
  if (observed) return ofState(observed)
  return ready.status === 'Unknown' ? 'Unknown' : 'Provisioning'
}

/** What would know the state does not answer. */
const silence: ReadonlySet<string> = new Set([
  VirtualMachineReason.HostUnreachable,
  VirtualMachineReason.HostNotFound,
  VirtualMachineReason.MonitorSilent,
])

type Observed = NonNullable<Scope['observed']>

function ofState({ state, power, retryAt, problem }: Observed): string {
  if (state === 'Absent') return 'Stopped'
  if (state !== 'Stopped' || power !== 'Running') return state
  if (retryAt !== undefined) return 'CrashLoopBackOff'
  const endedForGood = problem?.code === 'GuestShutdown' || problem?.code === 'Crashed'
  return endedForGood ? 'Stopped' : 'Starting'
}

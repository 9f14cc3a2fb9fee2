import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { blocked, unknown, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { MachineDecision, Scope } from './scope.ts'

const LOOK_AGAIN_MS = 10_000

/**
 * Why a machine that was deleted since its state was stored is not started yet: one that was created in its place may
 * run on a host that has not said so. Undefined where its host still has it, for then none took its place.
 */
export function successorObjection({ status, deps }: Scope): Outcome | undefined {
  const { machineId = '', host = '', decision } = status
  if (decision?.power !== 'Running' || deps.fleet.get(host)?.machines.get(machineId)) return undefined
  const silent = deps.fleet.all().filter(({ state }) => state !== 'Connected')
  if (silent.length === 0) return undefined
  const names = silent.slice(0, 3).map(({ name }) => name)
  const verb = names.length === 1 ? 'does' : 'do'
  const message = `It was deleted since this state was stored, and ${names.join(', ')}, which ${verb} not answer, may have one that was created in its place: bring every Host back, or delete those that are gone`
  return unknown(VirtualMachineReason.HostUnreachable, message, LOOK_AGAIN_MS)
}

/**
 * Why a guest that its host was told to run after our state was stored is not ended for what that state says: somebody
 * wants it to run. What was asked for since is carried out.
 */
export function startedSince(scope: Scope, hostName: string): Outcome | undefined {
  const { vm, status, deps } = scope
  const { machineId = '', decision } = status
  if (decision === undefined || decision.power === 'Running' || wasAskedSince(scope, decision)) return undefined
  const held = deps.fleet.get(hostName)?.machines.get(machineId)
  const isOn = held?.power === 'Running' && (held.state !== 'Stopped' || held.retryAt !== undefined)
  if (!isOn) return undefined
  const start = vm.spec.runStrategy === 'Halted' ? 'set runStrategy to Always' : 'request Start in spec.power'
  const how =
    decision.power === 'Absent'
      ? 'set runStrategy to Halted to have it deleted, or take its finalizers off, and adopt the guest'
      : `${start} to have it so, and stop it after that if it is to be off`
  const message = `The guest was started on Host ${hostName} after this state was stored, and runs on: ${how}`
  return blocked(VirtualMachineReason.StartedSince, message, LOOK_AGAIN_MS)
}

function wasAskedSince({ vm, status, deps: { orders } }: Scope, { id, power }: MachineDecision): boolean {
  if (power !== 'Absent') return orders.isDecidedHere(status.machineId ?? '', id)
  const { deletionTimestamp } = vm.metadata
  const isDeletedSince = deletionTimestamp !== undefined && Date.parse(deletionTimestamp) >= orders.since.getTime()
  return isDeletedSince || vm.spec.runStrategy === 'Halted'
}

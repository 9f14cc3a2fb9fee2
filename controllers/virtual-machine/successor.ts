import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { unknown, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Scope } from './scope.ts'

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

import type { DesiredMachine } from '../../agent/contract.ts'
import { fileIdOf } from '../../crds/disk.ts'
import { orderedOf } from './allocate.ts'
import { restartPolicy } from './run-strategy.ts'
import type { MachineDecision, Scope } from './scope.ts'
import { disksToDetach } from './surplus.ts'

/** The whole order for a host, from the spec and the stored decision. */
export function toDesiredMachine(scope: Scope, decision: MachineDecision): DesiredMachine {
  const { vm, status, namespace, name } = scope
  const { id, epoch, follows, power, paused, request } = decision
  const { cpus, memoryBytes } = orderedOf(scope)
  const detach = disksToDetach(scope, decision.host)
  return {
    id: status.machineId ?? '',
    name: `${namespace}/${name}`,
    decision: { id, epoch, follows },
    power,
    cpus,
    memoryBytes,
    machineType: vm.spec.machineType,
    macs: (status.networks ?? []).map(({ mac }) => mac),
    disks: disksOf(scope, decision, detach),
    ...(power === 'Running' && detach.length > 0 && { detach }),
    restart: restartPolicy[vm.spec.runStrategy],
    gracePeriodSeconds: request === 'ForceStop' ? 0 : vm.spec.terminationGracePeriodSeconds,
    ...(paused === true && { paused }),
    ...((request === 'Restart' || request === 'Reset') && { once: request }),
  }
}

/** While its disks are not all there, a machine keeps those that its host knows of and its spec still names. */
function disksOf(
  { vm, status, disks, deps }: Scope,
  { host }: MachineDecision,
  detach: readonly string[],
): DesiredMachine['disks'] {
  const isComplete = disks.length === 1 + vm.spec.disks.length
  const known = deps.fleet.get(host)?.machines.get(status.machineId ?? '')?.disks
  if (isComplete || !known) {
    return disks.map((disk) => ({
      id: fileIdOf(disk),
      storage: disk.status?.dataStorage ?? disk.spec.dataStorage ?? '',
    }))
  }
  return known.filter(({ id }) => !detach.includes(id))
}

/** A random unicast, locally administered Ethernet address, from 6 random bytes. */
export function toMac(random: Uint8Array): string {
  const [first = 0, ...rest] = random
  return [(first & 0xfc) | 0x02, ...rest].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

import type { ObservedMachine } from '../../agent/contract.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { blocked, unknown, type Outcome } from '../../lib/reconcile/outcome.ts'
import { wantedPower } from './run-strategy.ts'
import type { Scope } from './scope.ts'

/** Nobody tells a machine of another one that goes. */
const LOOK_AGAIN_MS = 30_000
const CONNECTING_MS = 500

/**
 * Why this machine must not be made or started: a host has another one that was started for this very object, and that
 * no object stands for. After a restore that is the one of today, and ours the one of the backup. One that runs is not
 * stopped for it.
 */
export function namesakeObjection(scope: Scope): Outcome | undefined {
  if (!isToStart(scope)) return undefined
  const orphan = findNamesake(scope)
  if (!orphan) return whileConnecting(scope)
  const message = `Host ${orphan.host} has an orphan of this name (machine ${orphan.machine.id}), so this machine is not started: to have that one, create the VirtualMachine anew with it in spec.adopt.machineId; to have this one, do so, and delete it`
  return blocked(VirtualMachineReason.OrphanOfName, message, LOOK_AGAIN_MS)
}

/** A leader that has just begun has yet to hear what runs. A host that was tried and does not answer holds nobody up. */
function whileConnecting({ deps }: Scope): Outcome | undefined {
  const host = deps.fleet.all().find(({ state }) => state === 'Connecting')
  if (!host) return undefined
  const message = `Host ${host.name}, which may have a machine of this name, is being connected`
  return unknown(VirtualMachineReason.HostUnreachable, message, CONNECTING_MS)
}

function isToStart({ vm: { spec }, status, deps }: Scope): boolean {
  const { machineId, host = '' } = status
  if (machineId === undefined) return !spec.adopt // That is a machine which is there, and nothing starts.
  const own = deps.fleet.get(host)?.machines.get(machineId)
  const isOn = own !== undefined && own.state !== 'Stopped'
  return !isOn && wantedPower(spec.runStrategy, status) === 'Running'
}

function findNamesake({
  namespace,
  name,
  status,
  deps,
}: Scope): { host: string; machine: ObservedMachine } | undefined {
  // One text for all hosts, of which each looks it up: it is hashed once.
  const own = `${namespace}/${name}`
  for (const host of deps.fleet.all()) {
    for (const machine of host.machines.named(own)) {
      const isOther = machine.id !== status.machineId && machine.power !== 'Absent'
      if (isOther && deps.machinesOf(machine.id).length === 0) return { host: host.name, machine }
    }
  }
  return undefined
}

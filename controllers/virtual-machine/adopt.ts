import type { ObservedMachine } from '../../agent/contract.ts'
import type { Disk } from '../../crds/disk.ts'
import { rootDiskName, VirtualMachineReason, type VirtualMachine } from '../../crds/virtual-machine.ts'
import { blocked, unknown, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { toQuantity } from '../../policy/quantity.ts'
import type { FleetHost } from '../fleet/fleet-host.ts'
import { whyNotNamed } from './adopted-disks.ts'
import { decide } from './decision.ts'
import { wantedPower } from './run-strategy.ts'
import type { Scope } from './scope.ts'

/** Nobody tells of a host that the machine may be on when it comes back, or of a machine that is not ours. */
const LOOK_AGAIN_MS = 30_000

interface Holder {
  readonly host: FleetHost
  readonly machine: ObservedMachine
}

/**
 * Makes a machine that only its host knows the one that this object stands for: the same identity, host, cards and
 * disks, under a decision that follows the one it runs by. The host alone knows whose machine it was, so its name there
 * must be ours: nobody takes over a guest of another namespace.
 */
export function adoptMachine(scope: Scope, machineId: string): Outcome {
  const { vm, namespace, name, deps } = scope
  const own = `${namespace}/${name}`
  const holders = holdersOf(scope, machineId).filter(({ machine }) => machine.name === own)
  const [holder] = holders
  if (!holder) return notFound(scope, machineId)
  if (holders.length > 1) {
    const where = holders.map(({ host }) => host.name).join(' and ')
    return refused(`Machine ${machineId} is on ${where}: have one of them forget it, for it can be adopted only once`)
  }
  const owner = deps.machinesOf(machineId).find(({ metadata }) => metadata.uid !== vm.metadata.uid)
  if (owner)
    return refused(`Machine ${machineId} has a VirtualMachine already: leave spec.adopt out to have another one`)
  const keeper = keeperOf(holder, scope)
  if (keeper !== undefined) {
    const where = `entry ${keeper} of the recycle bin`
    return refused(`An Ethernet address of machine ${machineId} is kept for ${where}: recover or purge that first`)
  }
  return bind(scope, holder)
}

function holdersOf({ deps }: Scope, machineId: string): Holder[] {
  return deps.fleet.all().flatMap((host) => {
    const machine = host.machines.get(machineId)
    return machine ? [{ host, machine }] : []
  })
}

/** One answer for a machine that nobody has and for one of somebody else, so that nobody learns which it is. */
function notFound({ namespace, name, deps }: Scope, machineId: string): Outcome {
  const which = `machine ${machineId} that was started for VirtualMachine ${namespace}/${name}`
  const away = deps.fleet.all().filter(({ state }) => state !== 'Connected')
  if (away.length === 0)
    return refused(`No host has a ${which}: use the name, namespace and id in status.orphans of its Host`)
  const names = away.slice(0, 3).map((host) => host.name)
  const message = `No host that answers has a ${which}; ${names.join(', ')} ${away.length === 1 ? 'does' : 'do'} not answer`
  return unknown(VirtualMachineReason.HostUnreachable, message, LOOK_AGAIN_MS)
}

function refused(message: string): Outcome {
  return blocked(VirtualMachineReason.AdoptionRefused, message, LOOK_AGAIN_MS)
}

/** Why the machine cannot be adopted as it is now. */
function objectionTo(scope: Scope, { host, machine }: Holder): Outcome | undefined {
  const { macs, disks } = machine
  if (host.state !== 'Connected') {
    return unknown(VirtualMachineReason.HostUnreachable, `Host ${host.name}, which has the machine, does not answer`)
  }
  if (machine.power === 'Absent')
    return waiting(VirtualMachineReason.Stopping, 'The machine was ordered to go, and is ending')
  if (!macs || !disks)
    return refused(
      `Host ${host.name} does not tell what machine ${machine.id} has: make the data storage with its disks usable there`,
    )
  const obstacles = disks.flatMap(
    ({ id }, index) => whyNotNamed(scope, { machineId: machine.id, id, isRoot: index === 0 }) ?? [],
  )
  if (obstacles.length === 0) return undefined
  const next = [...new Set(obstacles)].join('; ')
  return refused(`Machine ${machine.id} has disks that this manifest does not name, and would lose them: ${next}`)
}

function bind(scope: Scope, holder: Holder): Outcome {
  const objection = objectionTo(scope, holder)
  if (objection) return objection
  const { vm, status, deps } = scope
  const { host, machine } = holder
  const { macs = [], disks = [] } = machine
  deps.ledger.release(vm)
  status.allocated = capacityOf(machine, vm.spec)
  deps.ledger.reserve(vm, host.name)
  status.machineId = machine.id
  status.host = host.name
  status.rootDisk = rootDiskName(vm)
  status.networks = macs.map((mac) => ({ mac }))
  const [root] = disks
  if (vm.spec.rootDisk.imageRef && root) status.dataStorage = root.storage
  const power = powerOf(scope, machine)
  status.runStrategy = vm.spec.runStrategy
  // Paused without a problem it was by request.
  const paused = power === 'Running' && machine.state === 'Paused' && !machine.problem
  return decide(scope, power, host.name, { seen: machine.decision, ...(paused && { how: { paused } }) })
}

/** What the guest has. What the spec asks for beyond that, it gets as any machine does. */
function capacityOf({ cpus, memoryBytes }: ObservedMachine, spec: VirtualMachine['spec']) {
  return {
    cpus: cpus ?? spec.cpus,
    memory: memoryBytes === undefined ? spec.memory : toQuantity(memoryBytes),
  }
}

/** Name of the entry of the recycle bin that an Ethernet address of the machine is kept for. */
function keeperOf({ machine: { macs = [] } }: Holder, { deps }: Scope): string | undefined {
  const keepers = macs.flatMap((mac) => deps.bin.ofMac(mac))
  return keepers.find(({ spec }) => spec.deletion.policy !== 'Immediate')?.metadata.name
}

/** Manual leaves it as it is. */
function powerOf({ vm: { spec }, status }: Scope, { power }: ObservedMachine): 'Running' | 'Stopped' {
  if (spec.runStrategy !== 'Manual') return wantedPower(spec.runStrategy, status)
  return power === 'Running' ? 'Running' : 'Stopped'
}

/** Where the root disk of an adopted machine is: its Disk is made of that file. Undefined for any other machine. */
export function adoptedRoot({ vm, status, deps }: Scope): Pick<Disk['spec'], 'dataStorage' | 'source'> | undefined {
  const { machineId = '', host = '' } = status
  if (vm.spec.adopt?.machineId !== machineId) return undefined
  const root = deps.fleet.get(host)?.machines.get(machineId)?.disks?.[0]
  return root && { dataStorage: root.storage, source: { existing: { id: root.id } } }
}

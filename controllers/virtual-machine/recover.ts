import { OriginReason, originOf, targetOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { rootDiskName, VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { decided, done, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { roomObjection } from '../../policy/placement.ts'
import { toBytes } from '../../policy/quantity.ts'
import { disksOfMachine, type Contents, type DiskOfMachine } from '../../policy/recycled-contents.ts'
import { askOrigin, dropEmptyEntry } from '../recycle-bin/origin.ts'
import { decide } from './decision.ts'
import { wantedPower } from './run-strategy.ts'
import type { Scope } from './scope.ts'

/**
 * Makes an object that comes from the recycle bin the machine that it was: the same identity, host and cards, under a
 * decision that follows its last one. Nothing for a machine that is new, or has its identity.
 */
export async function recoverMachine(scope: Scope): Promise<Outcome | undefined> {
  const { vm, status, deps } = scope
  if (status.machineId !== undefined) return undefined
  const origin = await askOrigin(deps.bin, vm, (entry) => isFor(scope, entry))
  if (origin.type === 'New') return undefined
  if (origin.type === 'Withheld') return origin.outcome
  const disks = disksOfMachine(origin.entry, vm.metadata.name)
  return awaitDisks(scope, disks) ?? bind(scope, origin.contents, disks)
}

/**
 * What comes first when such a machine is deleted. One that is being brought back becomes what it was before it is put
 * away, so that all of it is in one entry again. One that has nothing yet leaves all in the entry that it named.
 */
export async function settleOrigin(scope: Scope): Promise<Outcome | undefined> {
  const { vm, status, deps } = scope
  const name = originOf(vm.metadata)
  if (name === undefined || (status.machineId !== undefined && !deps.bin.find(name))) return undefined
  const entry = await deps.bin.read(name)
  if (entry && isFor(scope, entry)) {
    const message = 'It is being brought back from the recycle bin, and goes there again then'
    return (await recoverMachine(scope)) ?? waiting(VirtualMachineReason.PuttingAway, message)
  }
  if (!entry || status.machineId !== undefined) return undefined
  await dropEmptyEntry(deps.bin, vm)
  return done
}

/** Its disks are there first: what is bound can start, and a root disk of that name would be made. */
function awaitDisks({ namespace, deps }: Scope, disks: readonly DiskOfMachine[]): Outcome | undefined {
  const missing = disks.find(({ held, name }) => held.manifest && deps.disk(namespace, name)?.status?.id !== held.id)
  if (!missing) return undefined
  const which = missing.isRoot ? 'Its root disk' : `Its Disk ${missing.name}`
  return waiting(OriginReason.Recovering, `${which} is being brought back`)
}

function bind(scope: Scope, contents: Contents, disks: readonly DiskOfMachine[]): Outcome {
  const { vm, status, deps } = scope
  const { machineId = deps.newId(), host, decision, addresses = [] } = contents
  if (host !== undefined) {
    deps.ledger.release(vm) // Of an earlier choice that could not be stored.
    const full = fullness(scope, host)
    if (full) return full
    status.allocated = { cpus: vm.spec.cpus, memory: vm.spec.memory }
    deps.ledger.reserve(vm, host)
  }
  status.machineId = machineId
  if (addresses.length > 0) status.networks = addresses.map(({ mac }) => ({ mac }))
  if (host === undefined) return decided // It was never placed, and is placed as a new one.
  status.host = host
  status.rootDisk = rootDiskName(vm)
  const root = disks.find(({ isRoot }) => isRoot)
  if (root) status.dataStorage = root.held.dataStorage
  const power = wantedPower(vm.spec.runStrategy, status)
  status.runStrategy = vm.spec.runStrategy
  return decide(scope, power, host, decision && { seen: decision })
}

/** Its disks are there and nowhere else. One that is deleted meanwhile takes no room. */
function fullness({ vm: { metadata, spec }, deps }: Scope, name: string): Outcome | undefined {
  const host = deps.candidates.hosts().find((candidate) => candidate.name === name)
  if (!host || metadata.deletionTimestamp !== undefined) return undefined
  const request = { cpus: spec.cpus, memoryBytes: toBytes(spec.memory) }
  const objection = roomObjection(host, request, deps.candidates.settings())
  if (objection === undefined) return undefined
  return waiting(VirtualMachineReason.NoHostFits, `Host ${name}, which has its disks, ${objection}`)
}

function isFor({ namespace, name }: Scope, entry: RecycledResource): boolean {
  const target = targetOf(entry)
  const { resource } = entry.spec
  const isSame = target.namespace === namespace && target.name === name && resource.kind === 'VirtualMachine'
  return isSame && entry.status?.phase === 'Recovering'
}

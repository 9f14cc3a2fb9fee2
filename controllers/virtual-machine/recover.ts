import { originOf, targetOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { rootDiskName } from '../../crds/virtual-machine.ts'
import type { Outcome } from '../../lib/reconcile/outcome.ts'
import type { Contents } from '../recycle-bin/bin.ts'
import { decide } from './decision.ts'
import { wantedPower } from './run-strategy.ts'
import type { Scope } from './scope.ts'

/**
 * Makes an object that the recycle bin made anew the machine that it was: the same identity, host and cards, under a
 * decision that follows its last one. Nothing when no entry is being brought back as this very object, whatever its
 * annotation says: anybody can write that.
 */
export async function recoverMachine(scope: Scope): Promise<Outcome | undefined> {
  const { vm, deps } = scope
  const origin = originOf(vm.metadata)
  const entry = origin === undefined ? undefined : await deps.bin.read(origin)
  const contents = entry && isFor(scope, entry) ? entry.spec.contents : undefined
  return contents && bind(scope, contents)
}

function bind(scope: Scope, { machineId, host, decision, disks: [root] = [], addresses = [] }: Contents) {
  const { vm, status, deps } = scope
  if (machineId === undefined || host === undefined) return undefined // It was never placed.
  deps.ledger.release(vm)
  deps.ledger.reserve(vm, host)
  status.machineId = machineId
  status.host = host
  status.rootDisk = rootDiskName(vm)
  status.networks = addresses.map(({ mac }) => ({ mac }))
  if (root) status.dataStorage = root.dataStorage
  const power = wantedPower(vm.spec.runStrategy, status)
  status.runStrategy = vm.spec.runStrategy
  return decide(scope, power, host, decision && { seen: decision })
}

function isFor({ namespace, name }: Scope, entry: RecycledResource): boolean {
  const target = targetOf(entry)
  const { resource } = entry.spec
  const isSame = target.namespace === namespace && target.name === name && resource.kind === 'VirtualMachine'
  return isSame && entry.status?.phase === 'Recovering'
}

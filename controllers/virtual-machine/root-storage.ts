import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { decided, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import { pickStorage } from '../../policy/placement.ts'
import type { Scope } from './scope.ts'

/**
 * Where the root disk is made: what was chosen with the host. One that was put away before it had a disk came back to its
 * host without that, and it is chosen there now: a disk on another host would be of no use.
 */
export function rootStorage({ vm, status, deps }: Scope, sizeBytes: number): { dataStorage: string } | Outcome {
  if (status.dataStorage !== undefined) return { dataStorage: status.dataStorage }
  const { candidates, ledger } = deps
  const { host = '', machineId = '' } = status
  const { dataStorage: asked } = vm.spec.rootDisk
  const newDisk = { sizeBytes, ...(asked !== undefined && { dataStorage: asked }) }
  const storages = candidates.storages().filter((storage) => storage.host === host)
  const picked = pickStorage(storages, newDisk, candidates.settings())
  if ('objection' in picked) {
    const message = `Host ${host}, where the machine is, ${picked.objection}: make room there, or delete the machine and create it anew`
    return waiting(VirtualMachineReason.NoHostFits, message)
  }
  const { dataStorage } = picked
  ledger.reserve(vm, host, { machineId, dataStorage, sizeBytes })
  status.dataStorage = dataStorage
  return decided
}

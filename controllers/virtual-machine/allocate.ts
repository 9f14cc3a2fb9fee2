import { allocatedOf } from '../../crds/virtual-machine.ts'
import { decided, done, type Outcome } from '../../lib/reconcile/outcome.ts'
import { roomObjection } from '../../policy/placement.ts'
import { toBytes } from '../../policy/quantity.ts'
import type { Scope } from './scope.ts'

/**
 * Gives a placed machine the CPUs and the memory that its spec has come to ask for, if its host has room for more of them.
 * Until then it keeps what it has, so that a restart does not end in a guest that cannot start. What is given is counted
 * at once, stored, and only then ordered.
 */
export function allocate(scope: Scope, hostName: string): Outcome {
  const { vm, status, deps } = scope
  const { cpus, memory } = vm.spec
  const now = allocatedOf(vm)
  if (status.allocated && now.cpus === cpus && now.memory === memory) return done
  const host = deps.candidates.hosts().find(({ name }) => name === hostName)
  const grows = cpus > now.cpus || toBytes(memory) > toBytes(now.memory)
  if (host && grows) {
    const placed = {
      cpus: host.placed.cpus - now.cpus,
      memoryBytes: host.placed.memoryBytes - toBytes(now.memory),
    }
    const request = { cpus, memoryBytes: toBytes(memory) }
    const objection = roomObjection({ ...host, placed }, request, deps.candidates.settings())
    if (objection !== undefined) {
      scope.shortage = `Host ${hostName} ${objection}: ask for less, or make room there`
      return done
    }
  }
  status.allocated = { cpus, memory }
  deps.ledger.reserve(vm, hostName)
  return decided
}

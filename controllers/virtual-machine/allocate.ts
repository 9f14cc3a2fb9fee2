import { decided, done, type Outcome } from '../../lib/reconcile/outcome.ts'
import { roomObjection } from '../../policy/placement.ts'
import { toBytes, toQuantity } from '../../policy/quantity.ts'
import { allocatedTo, type HostUse } from '../fleet/ledger.ts'
import type { Scope } from './scope.ts'

const wantedBy = ({ vm: { spec } }: Scope): HostUse => ({ cpus: spec.cpus, memoryBytes: toBytes(spec.memory) })

/** The larger of each. */
function most(a: HostUse, b: HostUse): HostUse {
  return { cpus: Math.max(a.cpus, b.cpus), memoryBytes: Math.max(a.memoryBytes, b.memoryBytes) }
}

/**
 * Gives a placed machine the CPUs and the memory that its spec has come to ask for, if its host has room for more of them.
 * Until then it keeps what it has, so that a restart does not end in a guest that cannot start. What is given is counted
 * at once, stored, and only then ordered.
 */
export function allocate(scope: Scope, hostName: string): Outcome {
  const { vm, status, deps } = scope
  const now = allocatedTo(scope.vm)
  const next = most(now, wantedBy(scope))
  const grows = next.cpus > now.cpus || next.memoryBytes > now.memoryBytes
  if (status.allocated && !grows) return done
  const host = deps.candidates.hosts().find(({ name }) => name === hostName)
  if (host && grows) {
    const placed = {
      cpus: host.placed.cpus - now.cpus,
      memoryBytes: host.placed.memoryBytes - now.memoryBytes,
    }
    const objection = roomObjection({ ...host, placed }, next, deps.candidates.settings())
    if (objection !== undefined) {
      scope.shortage = `Host ${hostName} ${objection}: ask for less, or make room there`
      return done
    }
  }
  store(scope, next)
  deps.ledger.reserve(vm, hostName)
  return decided
}

/** What is ordered from the host: what the spec asks for, and no more than was given. */
export function orderedOf(scope: Scope): HostUse {
  const [wanted, allocated] = [wantedBy(scope), allocatedTo(scope.vm)]
  return {
    cpus: Math.min(wanted.cpus, allocated.cpus),
    memoryBytes: Math.min(wanted.memoryBytes, allocated.memoryBytes),
  }
}

/** Takes back what the spec no longer asks for, once its host says that no process has it any more. */
export function release(scope: Scope): void {
  const { vm, status, deps, observed } = scope
  const [now, ordered] = [allocatedTo(scope.vm), orderedOf(scope)]
  const shrinks = ordered.cpus < now.cpus || ordered.memoryBytes < now.memoryBytes
  if (!shrinks || !observed || status.host === undefined) return
  const { cpus = ordered.cpus, memoryBytes = ordered.memoryBytes } = observed
  const next = most({ cpus, memoryBytes }, ordered)
  if (next.cpus >= now.cpus && next.memoryBytes >= now.memoryBytes) return
  store(scope, next)
  deps.ledger.reserve(vm, status.host)
}

/** As the spec writes it, where it is the same. */
function store({ vm: { spec }, status }: Scope, { cpus, memoryBytes }: HostUse): void {
  const isSame = toBytes(spec.memory) === memoryBytes
  status.allocated = { cpus, memory: isSame ? spec.memory : toQuantity(memoryBytes) }
}

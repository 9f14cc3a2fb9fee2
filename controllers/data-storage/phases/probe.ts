import type { ObservedStorage } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { DataStorageCondition, DataStorageReason } from '../../../crds/data-storage.ts'
import { blocked, done, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toBytes, toQuantity } from '../../../policy/quantity.ts'
import type { Scope } from '../scope.ts'

const RETRY_MS = 5_000
const MI = 2 ** 20

/** Makes the storage known to its host, and reports its space and what is wrong with it. */
export const probeStorage: Phase<Scope> = {
  condition: DataStorageCondition.Usable,

  async run({ storage, status, deps }) {
    const { host: name, path } = storage.spec.local
    const host = deps.fleet.get(name)
    if (!host) return blocked(DataStorageReason.HostNotFound, `There is no Host ${name}: create it`)
    if (host.state !== 'Connected') return unknown(DataStorageReason.HostUnreachable, `Host ${name} does not answer`)
    try {
      const observed = await host.agent.putStorage({ name: storage.metadata.name, path })
      return judge(status, observed)
    } catch (error) {
      if (!(error instanceof AgentError) || error.code !== 'UNREACHABLE') throw error
      return unknown(DataStorageReason.HostUnreachable, `Host ${name} does not answer`, RETRY_MS)
    }
  },
}

function judge(status: Scope['status'], { capacityBytes, availableBytes, problem }: ObservedStorage): Outcome {
  // A missing folder has no size worth showing; what was known of it stays.
  if (capacityBytes > 0) measure(status, capacityBytes, availableBytes)
  return problem ? waiting(problem.code, problem.message, RETRY_MS) : done
}

/** Free space moves all the time: only a move worth knowing is written, or an idle platform would write for ever. */
function measure(status: Scope['status'], capacityBytes: number, availableBytes: number): void {
  status.capacity = toQuantity(Math.floor(capacityBytes / MI) * MI)
  const known = status.available === undefined ? -Infinity : toBytes(status.available)
  if (Math.abs(known - availableBytes) < capacityBytes / 20) return
  status.available = toQuantity(Math.floor(availableBytes / MI) * MI)
}

import type { ObservedStorage } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { DataStorageCondition, DataStorageReason } from '../../../crds/data-storage.ts'
import { blocked, done, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { knownBytes, toQuantity } from '../../../policy/quantity.ts'
import { refusalText } from '../../fleet/refusal.ts'
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
      if (!(error instanceof AgentError)) throw error
      return error.code === 'UNREACHABLE'
        ? unknown(DataStorageReason.HostUnreachable, `Host ${name} does not answer`, RETRY_MS)
        : waiting(DataStorageReason.HostRefused, refusalText(name, error), RETRY_MS)
    }
  },
}

function judge(status: Scope['status'], { capacityBytes, availableBytes, problem }: ObservedStorage): Outcome {
  // A missing folder has no size worth showing; what was known of it stays.
  if (capacityBytes > 0) measure(status, capacityBytes, availableBytes)
  return problem ? waiting(problem.code, problem.message, RETRY_MS) : done
}

/**
 * Free space moves all the time, and on file systems such as ZFS so does the size: only a move worth knowing is
 * written, or an idle platform would write for ever.
 */
function measure(status: Scope['status'], capacityBytes: number, availableBytes: number): void {
  status.capacity = settle(status.capacity, capacityBytes, capacityBytes / 100)
  status.available = settle(status.available, availableBytes, capacityBytes / 20)
}

function settle(known: string | undefined, bytes: number, toleranceBytes: number): string {
  const before = knownBytes(known)
  if (known !== undefined && before !== undefined && Math.abs(before - bytes) < toleranceBytes) return known
  return toQuantity(Math.floor(bytes / MI) * MI)
}

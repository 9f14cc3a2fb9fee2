import { claim, type Claim, type DesiredMachine, type ObservedMachine } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { blocked, unknown, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { FleetHost } from '../fleet/fleet-host.ts'
import { refusalText } from '../fleet/refusal.ts'
import { decide, isOurs } from './decision.ts'
import { toDesiredMachine } from './machine.ts'
import { overtake } from './restored.ts'
import type { MachineDecision, Scope } from './scope.ts'

/** How long a host may take to answer with the finished machine, before its event is waited for instead. */
const ANSWER_MS = 2_000
const RETRY_MS = 5_000
/** Nobody tells when a machine that we do not know gives a disk back. */
const LOOK_AGAIN_MS = 30_000

/**
 * Tells the host what was decided, unless it was told and nothing changed since.
 * Returns the machine as the host sees it, or why that is not known.
 */
export async function giveOrder(scope: Scope, decision: MachineDecision): Promise<ObservedMachine | Outcome> {
  const host = scope.deps.fleet.get(decision.host)
  if (!host) {
    return blocked(
      VirtualMachineReason.HostNotFound,
      `There is no Host ${decision.host}, where the machine is: create it again`,
    )
  }
  if (host.state !== 'Connected') return unreachable(decision.host)
  if (!isOurs(scope, decision)) return decide(scope, decision.power, decision.host)
  const machine = toDesiredMachine(scope, decision)
  const known = host.machines.get(machine.id)
  const order = JSON.stringify(machine)
  const { orders } = scope.deps
  if (known && orders.given(machine.id, host.session, order)) return known
  return orders.held(machine.id, { session: host.session, order }) ?? send(scope, host, machine)
}

async function send(scope: Scope, host: FleetHost, machine: DesiredMachine): Promise<ObservedMachine | Outcome> {
  const { orders } = scope.deps
  orders.forget(machine.id)
  try {
    const observed = await host.agent.putMachine(machine, ANSWER_MS)
    // The event that says the same will be no news.
    if (host.machines.note(observed)) scope.deps.tellAnswer(observed)
    orders.remember(machine.id, host.session, JSON.stringify(machine))
    return observed
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    const outcome = refused(scope, host.name, error)
    const given = { session: host.session, order: JSON.stringify(machine) }
    if (outcome.type === 'waiting' || outcome.type === 'blocked') orders.refuse(machine.id, given, outcome)
    return outcome
  }
}

/** What only the user can mend. Everything else a host refuses is tried again. */
const final: ReadonlySet<string> = new Set(['BAD_REQUEST', 'DISK_CLAIMED', 'DISK_NOT_FOUND'])

/** What the host's refusal is called; anything else is `HostRefused`. */
const reasons: Readonly<Record<string, string>> = {
  DISK_CLAIMED: VirtualMachineReason.DiskInUse,
  DISK_NOT_FOUND: VirtualMachineReason.DiskNotFound,
}

function refused(scope: Scope, host: string, error: AgentError): Outcome {
  const { code, details } = error
  // Its events may go on all the same, so that nobody would tell us to look again.
  if (code === 'UNREACHABLE') return unreachable(host, RETRY_MS)
  const found = claim.safeParse(details).data
  const own = found?.machineId === scope.status.machineId
  if (found && own && (code === 'STALE_EPOCH' || code === 'DISK_CLAIMED')) return overtake(scope, host, found)
  const reason = reasons[code] ?? VirtualMachineReason.HostRefused
  const message = refusalText(host, error) + (code === 'DISK_CLAIMED' ? holderText(scope, found) : '')
  return final.has(code) ? blocked(reason, message, LOOK_AGAIN_MS) : waiting(reason, message, RETRY_MS)
}

/** Who has the disk. Hosts know a machine by its identity alone; one of another namespace is not named. */
function holderText({ namespace, deps }: Scope, found: Claim | undefined): string {
  const machineId = found?.machineId ?? ''
  const [owner] = deps.machinesOf(machineId)
  if (owner) return owner.metadata.namespace === namespace ? ` (that is VirtualMachine ${owner.metadata.name})` : ''
  const place = deps.fleet.all().find(({ machines }) => machines.get(machineId)?.name.startsWith(`${namespace}/`))
  if (!place) return ''
  return ` (that is an orphan on Host ${place.name}: adopt it with spec.adopt.machineId, and leave the disk out or delete it)`
}

/** Not reachable is not gone: the machine may still run there. */
export function unreachable(host: string, retryAfterMs?: number): Outcome {
  const message = `Host ${host} does not answer; the machine may still run there`
  return unknown(VirtualMachineReason.HostUnreachable, message, retryAfterMs)
}

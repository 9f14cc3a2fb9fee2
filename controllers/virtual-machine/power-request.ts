import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import type { MachineDecision, Status } from './scope.ts'

export type PowerRequest = NonNullable<VirtualMachine['spec']['power']>
type Handled = NonNullable<Status['power']>

/** How old a request may be. */
const FRESH_MS = 10 * 60_000
/** How far ahead it may lie: until then none that is earlier is carried out, so not far. */
const AHEAD_MS = 60_000

interface Circumstances {
  /** Of the request that was handled last. */
  readonly handled: Pick<Handled, 'at' | 'latest'> | undefined
  readonly createdAt: string
  readonly now: Date
  readonly runStrategy: VirtualMachine['spec']['runStrategy']
  readonly power: MachineDecision['power']
}

/**
 * Why a request is not carried out. A manifest that is recovered, or applied again, carries a request that was meant
 * for another time. Call it for a request that was not handled yet.
 */
export function objectionTo(
  { request, at }: PowerRequest,
  circumstances: Circumstances,
): Pick<Handled, 'reason' | 'message'> | undefined {
  const outdated = whyOutdated(at, circumstances)
  if (outdated !== undefined) {
    return { reason: VirtualMachineReason.RequestOutdated, message: `Request ${request} ${outdated}` }
  }
  const { runStrategy, power } = circumstances
  if (runStrategy === 'Halted' && starting.has(request)) {
    const message = `Request ${request} is refused while spec.runStrategy is Halted: set it to Always, RerunOnFailure or Manual`
    return { reason: VirtualMachineReason.RequestRefused, message }
  }
  if (power === 'Running' || !ofGuest.has(request)) return undefined
  const message = `Request ${request} is refused while the machine is to be off: request Start`
  return { reason: VirtualMachineReason.RequestRefused, message }
}

const starting: ReadonlySet<string> = new Set(['Start', 'Restart'])
const ofGuest: ReadonlySet<string> = new Set(['Reset', 'Pause', 'Resume'])

function whyOutdated(at: string, { handled, createdAt, now }: Circumstances): string | undefined {
  const time = Date.parse(at)
  const nowMs = now.getTime()
  const latest = handled?.latest ?? handled?.at
  // What lies ahead was written while a clock was wrong, and must not have everything refused until it comes.
  const isPast = (other: string | undefined): other is string =>
    other !== undefined && Date.parse(other) <= nowMs + AHEAD_MS
  if (isPast(latest) && time <= Date.parse(latest)) {
    return `is not later than the last one: it says ${at}, and that one ${latest}; ask again with the present time, to the millisecond when two are asked within one second`
  }
  const isOfBefore = isPast(createdAt) && time < Date.parse(createdAt)
  if (!isOfBefore && time >= nowMs - FRESH_MS && time <= nowMs + AHEAD_MS) return undefined
  return `is for another time: it says ${at}, and the controllers' clock ${now.toISOString()}; ask again with the present time, or set the clock that is wrong`
}

/** What is kept of the request handled before, when the next one is refused for its time: that never goes back. */
export function latestTime(handled: Handled | undefined, reason: string | undefined): string | undefined {
  if (reason !== VirtualMachineReason.RequestOutdated) return undefined
  return handled?.latest ?? (handled?.reason === VirtualMachineReason.RequestOutdated ? undefined : handled?.at)
}

/** Whether a request was looked at before. */
export function isHandled({ request, at }: PowerRequest, handled: Handled | undefined): boolean {
  if (handled?.request !== request) return false
  // Some of what the API server takes for a time is none in JavaScript.
  return handled.at === at || Date.parse(handled.at) === Date.parse(at)
}

/** What a request decides. */
export function toDecision(
  request: PowerRequest['request'],
): Pick<MachineDecision, 'power' | 'request' | 'paused'> & { readonly power: 'Running' | 'Stopped' } {
  const power = request === 'Stop' || request === 'ForceStop' ? 'Stopped' : 'Running'
  return { power, request, ...(request === 'Pause' && { paused: true }) }
}

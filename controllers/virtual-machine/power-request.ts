import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { VirtualMachineReason } from '../../crds/virtual-machine.ts'
import type { MachineDecision, Status } from './scope.ts'

export type PowerRequest = NonNullable<VirtualMachine['spec']['power']>
type Handled = NonNullable<Status['power']>

/** How far the time of a request may be from now, either way. */
const FRESH_MS = 10 * 60_000

interface Circumstances {
  /** Of the request that was handled last. */
  readonly handled: Pick<Handled, 'at'> | undefined
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
  if (isOutdated(Date.parse(at), circumstances)) {
    const here = circumstances.now.toISOString()
    const message = `Request ${request} is for another time: it says ${at}, and the controllers' clock ${here}; ask again with the present time, or set the clock that is wrong`
    return { reason: VirtualMachineReason.RequestOutdated, message }
  }
  const { runStrategy, power } = circumstances
  if (runStrategy === 'Halted' && starting.has(request)) {
    const message = `Request ${request} is refused while spec.runStrategy is Halted: set it to Always, RerunOnFailure or Manual`
    return { reason: VirtualMachineReason.RequestRefused, message }
  }
  if (power === 'Running' || !ofGuest.has(request)) return undefined
  const message = `Request ${request} is refused while the machine is off: request Start`
  return { reason: VirtualMachineReason.RequestRefused, message }
}

const starting: ReadonlySet<string> = new Set(['Start', 'Restart'])
const ofGuest: ReadonlySet<string> = new Set(['Reset', 'Pause', 'Resume'])

function isOutdated(time: number, { handled, createdAt, now }: Circumstances): boolean {
  const nowMs = now.getTime()
  const before = [createdAt, handled?.at ?? createdAt].map((at) => Date.parse(at))
  // What lies ahead was written while a clock was wrong, and must not have everything refused until it comes.
  const earliest = Math.max(0, ...before.filter((at) => at <= nowMs + FRESH_MS))
  return time < earliest || Math.abs(nowMs - time) > FRESH_MS
}

/** Whether a request was looked at before. */
export function isHandled({ request, at }: PowerRequest, handled: Handled | undefined): boolean {
  return handled?.request === request && Date.parse(handled.at) === Date.parse(at)
}

/** What a request decides. */
export function toDecision(
  request: PowerRequest['request'],
): Pick<MachineDecision, 'power' | 'request' | 'paused'> & { readonly power: 'Running' | 'Stopped' } {
  const power = request === 'Stop' || request === 'ForceStop' ? 'Stopped' : 'Running'
  return { power, request, ...(request === 'Pause' && { paused: true }) }
}

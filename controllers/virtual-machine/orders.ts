import type { Outcome } from '../../lib/reconcile/outcome.ts'

/** What a host answered to an order that it will not carry out for now. */
type Refusal = Extract<Outcome, { reason: string; message: string; type: 'waiting' | 'blocked' | 'unknown' }>

/**
 * What each machine was last ordered, and in which session of its host, so that an idle reconcile makes no call.
 * Lost with the process: then every order is given once more, which changes nothing. Also which decisions are its own.
 */
export interface Orders {
  /** Whether this very order was carried out in this session of the host. */
  given(machineId: string, session: number, order: string): boolean
  remember(machineId: string, session: number, order: string): void
  /** Notes that the host refused this order, and what came of it. */
  refuse(machineId: string, order: GivenOrder, refusal: Refusal): void
  /** What came of this very order last, for as long as it is not to be given again: see `PAUSES_MS`. */
  held(machineId: string, order: GivenOrder): Refusal | undefined
  /** It is to be given again, whatever it was. */
  forget(machineId: string): void
  /** Since when this process gives orders. */
  readonly since: Date
  /** Notes that this process made a decision for the machine, and not one that was there before it. */
  decided(machineId: string, decisionId: string): void
  isDecidedHere(machineId: string, decisionId: string): boolean
  /** The machine is gone. */
  drop(machineId: string): void
}

export interface GivenOrder {
  readonly session: number
  readonly order: string
}

/**
 * After how many milliseconds an order that was refused so often is given again. A host that tries and fails tells of a
 * change each time, which has us look again: without a pause both would be busy with that for as long as it is refused.
 */
const PAUSES_MS = [0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000]
const MAX_PAUSE_MS = 5_000

/** Remembers nothing yet. `monotonicMs` only grows; `since` is now. */
export function newOrders(monotonicMs: () => number = () => performance.now(), since = new Date()): Orders {
  const orders = new Map<string, GivenOrder>()
  const decisions = new Map<string, string>()
  const refusals = new Map<string, GivenOrder & { refusal: Refusal; times: number; untilMs: number }>()
  const isSame = (a: GivenOrder | undefined, b: GivenOrder) => a?.session === b.session && a.order === b.order
  return {
    since,
    given: (machineId, session, order) => isSame(orders.get(machineId), { session, order }),
    remember(machineId, session, order) {
      orders.set(machineId, { session, order })
      refusals.delete(machineId)
    },
    refuse(machineId, order, refusal) {
      const last = refusals.get(machineId)
      const times = last && isSame(last, order) ? last.times + 1 : 1
      const untilMs = monotonicMs() + (PAUSES_MS[times - 1] ?? MAX_PAUSE_MS)
      refusals.set(machineId, { ...order, refusal, times, untilMs })
    },
    held(machineId, order) {
      const last = refusals.get(machineId)
      if (!last || !isSame(last, order)) return undefined
      const forMs = last.untilMs - monotonicMs()
      return forMs > 0 ? { ...last.refusal, retryAfterMs: Math.ceil(forMs) } : undefined
    },
    forget(machineId) {
      orders.delete(machineId)
    },
    decided: (machineId, decisionId) => void decisions.set(machineId, decisionId),
    isDecidedHere: (machineId, decisionId) => decisions.get(machineId) === decisionId,
    drop(machineId) {
      decisions.delete(machineId)
      orders.delete(machineId)
      refusals.delete(machineId)
    },
  }
}

import type { Clock } from './clock.ts'

export interface BudgetsOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** What may be spent at once. */
  readonly burst: number
  /** After so long there is one more to spend. */
  readonly refillMs: number
}

interface Budget {
  readonly left: number
  readonly atMs: number
}

/** More than that many spend nothing at the same time. */
const MAX_REMEMBERED = 10_000

/** An allowance a key: some at once, and then one after the other in a steady pace. */
export class Budgets {
  readonly #options: BudgetsOptions
  /** Those that are not full. The one that spent longest ago comes first. */
  readonly #budgets = new Map<string, Budget>()

  constructor(options: BudgetsOptions) {
    this.#options = options
  }

  /** How long until there is one to spend; 0 when there is one now. */
  waitMs(key: string): number {
    return Math.max(0, (1 - this.#left(key)) * this.#options.refillMs)
  }

  /** Spends one, whether there is one or not. */
  spend(key: string): void {
    const left = Math.max(0, this.#left(key) - 1)
    this.#budgets.delete(key)
    this.#budgets.set(key, { left, atMs: this.#options.clock.monotonicMs() })
    const [oldest] = this.#budgets.keys()
    if (this.#budgets.size > MAX_REMEMBERED && oldest !== undefined) this.#budgets.delete(oldest)
  }

  #left(key: string): number {
    const { burst, refillMs, clock } = this.#options
    const budget = this.#budgets.get(key)
    if (!budget) return burst
    const passedMs = Math.max(0, clock.monotonicMs() - budget.atMs)
    return Math.min(burst, budget.left + passedMs / refillMs)
  }
}

export interface PlacesOptions {
  /** How many may hold a place at once. */
  readonly places: number
  /** Who takes longer gives the place up, and goes on without. */
  readonly patienceMs: number
  /** How many may be at work at once, with a place or without. */
  readonly most: number
}

/**
 * Who may work. What is quick needs few places; what waits for something slow holds none, so that it keeps nobody out.
 * Times are in milliseconds of one monotonic clock.
 */
export class Places {
  readonly #options: PlacesOptions
  /** Since when, the first of them first. */
  readonly #holders = new Map<string, number>()
  #atWork = 0

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** Whether there is a place at that time. */
  isFree(nowMs: number): boolean {
    for (const [key, sinceMs] of this.#holders) {
      if (sinceMs + this.#options.patienceMs > nowMs) break
      this.#holders.delete(key)
    }
    return this.#holders.size < this.#options.places && this.#atWork < this.#options.most
  }

  take(key: string, nowMs: number): void {
    this.#holders.set(key, nowMs)
    this.#atWork += 1
  }

  leave(key: string): void {
    this.#holders.delete(key)
    this.#atWork -= 1
  }

  /** When the next place is given up, at the latest; Infinity when none is until somebody leaves. */
  get nextMs(): number {
    if (this.#atWork >= this.#options.most) return Infinity
    const [first] = this.#holders.values()
    return first === undefined ? Infinity : first + this.#options.patienceMs
  }
}

/** Keys in the order in which they came, each once. */
export class Line {
  readonly #keys = new Set<string>()
  // Kept, for one that begins anew goes over all that were taken before.
  #next = this.#keys.values()

  get size(): number {
    return this.#keys.size
  }

  has(key: string): boolean {
    return this.#keys.has(key)
  }

  /** Does nothing when it is in the line already. */
  add(key: string): void {
    this.#keys.add(key)
  }

  delete(key: string): void {
    this.#keys.delete(key)
  }

  /** The first, which leaves; undefined when there is none. */
  take(): string | undefined {
    let next = this.#next.next()
    if (next.done === true) {
      this.#next = this.#keys.values() // One that has come to its end stays there.
      next = this.#next.next()
    }
    if (next.done === true) return undefined
    this.#keys.delete(next.value)
    return next.value
  }
}

interface Entry {
  readonly key: string
  readonly dueMs: number
}

/** Stale entries are cleared out when they are more than the live ones and this. */
const SLACK = 64

/** The next time of each of many keys. All operations take logarithmic time. */
export class TimerHeap {
  readonly #due = new Map<string, number>()
  // A binary heap by time. An entry whose time is no longer its key's is stale.
  #heap: Entry[] = []

  get size(): number {
    return this.#due.size
  }

  /** Sets a key's time unless it has an earlier one. Returns whether it is now the first of all. */
  setEarlier(key: string, dueMs: number): boolean {
    const before = this.#due.get(key)
    if (before !== undefined && before <= dueMs) return false
    this.#due.set(key, dueMs)
    this.#push({ key, dueMs })
    if (this.#heap.length > 2 * this.#due.size + SLACK) this.#compact()
    return this.#heap[0]?.key === key
  }

  delete(key: string): void {
    this.#due.delete(key)
  }

  /** The earliest time of all. */
  next(): number | undefined {
    this.#dropStale()
    return this.#heap[0]?.dueMs
  }

  /** Takes out a key whose time has come. */
  take(nowMs: number): string | undefined {
    this.#dropStale()
    const [first] = this.#heap
    if (!first || first.dueMs > nowMs) return undefined
    this.#pop()
    this.#due.delete(first.key)
    return first.key
  }

  #dropStale(): void {
    for (let [first] = this.#heap; first && this.#due.get(first.key) !== first.dueMs; [first] = this.#heap) this.#pop()
  }

  #compact(): void {
    // Sorted by time is a heap too.
    this.#heap = [...this.#due].map(([key, dueMs]) => ({ key, dueMs })).toSorted((a, b) => a.dueMs - b.dueMs)
  }

  #push(entry: Entry): void {
    let index = this.#heap.length
    for (let parent = (index - 1) >> 1; index > 0 && this.#at(parent) > entry.dueMs; parent = (index - 1) >> 1) {
      this.#move(parent, index)
      index = parent
    }
    this.#heap[index] = entry
  }

  #pop(): void {
    const last = this.#heap.pop()
    const size = this.#heap.length
    if (!last || size === 0) return
    let index = 0
    for (let child = this.#smallerChild(0); child < size && this.#at(child) < last.dueMs;) {
      this.#move(child, index)
      index = child
      child = this.#smallerChild(index)
    }
    this.#heap[index] = last
  }

  #smallerChild(index: number): number {
    const left = 2 * index + 1
    return this.#at(left + 1) < this.#at(left) ? left + 1 : left
  }

  #at(index: number): number {
    return this.#heap[index]?.dueMs ?? Infinity
  }

  #move(from: number, to: number): void {
    const entry = this.#heap[from]
    if (entry) this.#heap[to] = entry
  }
}

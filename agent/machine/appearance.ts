import type { ObservedMachine } from '../contract.ts'

/** How one machine looks to others: numbers what it shows, tells each new look once, and lets callers wait for one. */
export class Appearance {
  readonly #onChange: (machine: ObservedMachine) => void
  readonly #watchers = new Set<() => void>()
  #text = ''
  // From the clock, so that it also grows over restarts of the agent, as long as nobody turns the clock back.
  #revision = Date.now()
  #published = 0

  constructor(onChange: (machine: ObservedMachine) => void) {
    this.#onChange = onChange
  }

  /** Adds the revision, which grows when there is something new. */
  stamp(content: Omit<ObservedMachine, 'revision'>): ObservedMachine {
    const text = JSON.stringify(content)
    if (text !== this.#text) this.#revision += 1
    this.#text = text
    return { ...content, revision: this.#revision }
  }

  publish(observed: ObservedMachine): void {
    if (observed.revision !== this.#published) {
      this.#published = observed.revision
      this.#onChange(observed)
    }
    for (const watcher of this.#watchers) watcher()
  }

  /** Waits until something is true after a `publish`, or the time is over. */
  async until(isTrue: () => boolean, waitMs: number): Promise<void> {
    if (isTrue()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const watcher = () => {
      if (isTrue()) resolve()
    }
    this.#watchers.add(watcher)
    const timer = setTimeout(resolve, waitMs)
    await promise
    clearTimeout(timer)
    this.#watchers.delete(watcher)
  }
}

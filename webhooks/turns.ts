/** Work of one name is done one after the other, in the order in which it came; that of other names beside it. */
export interface Turns {
  /** `work` is told whether it had to wait: then what it knew before may no longer be so. */
  take<T>(name: string, work: (hasWaited: boolean) => Promise<T>): Promise<T>
  /** Whether one would have to wait. */
  isTaken(name: string): boolean
}

/** Nobody has a turn. */
export function newTurns(): Turns {
  const last = new Map<string, Promise<void>>()
  return {
    async take(name, work) {
      const before = last.get(name)
      const { promise, resolve } = Promise.withResolvers<void>()
      last.set(name, promise)
      await before
      try {
        return await work(before !== undefined)
      } finally {
        if (last.get(name) === promise) last.delete(name)
        resolve()
      }
    },
    isTaken: (name) => last.has(name),
  }
}

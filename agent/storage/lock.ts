/** Lets one piece of work at a time have a name. Work under other names goes on beside it. */
export interface Locks {
  /** Waits for all these names. Those who ask for several cannot block each other for ever. */
  with<T>(names: readonly string[], work: () => Promise<T>): Promise<T>
}

export function newLocks(): Locks {
  const tails = new Map<string, Promise<void>>()

  const acquire = async (name: string): Promise<() => void> => {
    const before = tails.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    tails.set(name, promise)
    await before
    return () => {
      if (tails.get(name) === promise) tails.delete(name)
      resolve()
    }
  }

  return {
    with: async (names, work) => {
      await using held = new AsyncDisposableStack()
      // In one order for all, so that there is no circle of those who wait.
      for (const name of [...new Set(names)].toSorted()) held.defer(await acquire(name))
      return await work()
    },
  }
}

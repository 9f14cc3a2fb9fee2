/** Work of one name that comes while some is under way waits for it, and is then done together. */
export interface Batches<T, R> {
  /** Resolves with what came of this item. */
  join(name: string, item: T): Promise<R>
}

/** The first of a name, which nothing kept waiting, is a batch of its own. */
export interface Batch<T> {
  readonly items: readonly [T, ...T[]]
  readonly hasWaited: boolean
}

interface Waiting<T, R> {
  readonly item: T
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

/** `work` returns one result an item, in their order. What it throws, everybody in the batch is told. */
export function newBatches<T, R>(work: (batch: Batch<T>) => Promise<readonly R[]>): Batches<T, R> {
  const queues = new Map<string, Waiting<T, R>[]>()

  const settle = async ([first, ...others]: readonly Waiting<T, R>[], hasWaited: boolean): Promise<void> => {
    if (!first) return
    const all = [first, ...others]
    try {
      const results = await work({ items: [first.item, ...others.map(({ item }) => item)], hasWaited })
      for (const [index, { resolve, reject }] of all.entries()) {
        const result = results[index]
        if (result === undefined) reject(new Error('a batch has fewer results than items'))
        else resolve(result)
      }
    } catch (error) {
      for (const { reject } of all) reject(error)
    }
  }
  const drain = async (name: string, queue: Waiting<T, R>[]): Promise<void> => {
    for (let hasWaited = false; queue.length > 0; hasWaited = true) await settle(queue.splice(0), hasWaited)
    queues.delete(name)
  }

  return {
    async join(name, item) {
      const { promise, resolve, reject } = Promise.withResolvers<R>()
      const waiting = { item, resolve, reject }
      const queue = queues.get(name)
      if (queue) queue.push(waiting)
      else {
        const made = [waiting]
        queues.set(name, made)
        void drain(name, made)
      }
      return promise
    },
  }
}

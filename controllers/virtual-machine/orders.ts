/**
 * What each machine was last ordered, and in which session of its host, so that an idle reconcile makes no call.
 * Lost with the process: then every order is given once more, which changes nothing.
 */
export interface Orders {
  /** Whether this very order was carried out in this session of the host. */
  given(machineId: string, session: number, order: string): boolean
  remember(machineId: string, session: number, order: string): void
  forget(machineId: string): void
}

/** Remembers nothing yet. */
export function newOrders(): Orders {
  const orders = new Map<string, { session: number; order: string }>()
  return {
    given(machineId, session, order) {
      const last = orders.get(machineId)
      return last?.session === session && last.order === order
    },
    remember: (machineId, session, order) => void orders.set(machineId, { session, order }),
    forget: (machineId) => void orders.delete(machineId),
  }
}

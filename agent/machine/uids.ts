/** Hands out user ids, so that each machine's process has one of its own. */
export interface Uids {
  /** The machine's uid; the lowest free one at first. */
  take(machineId: string): number
  /** Notes one that a machine has from before. */
  note(machineId: string, uid: number): void
  release(machineId: string): void
}

export function newUids(base: number): Uids {
  const taken = new Map<string, number>()
  return {
    take: (machineId) => {
      const held = taken.get(machineId)
      if (held !== undefined) return held
      const used = new Set(taken.values())
      let uid = base
      while (used.has(uid)) uid += 1
      taken.set(machineId, uid)
      return uid
    },
    note: (machineId, uid) => void taken.set(machineId, uid),
    release: (machineId) => void taken.delete(machineId),
  }
}

/** Root port of each disk of a machine, by the disk's id. */
export type Slots = Readonly<Record<string, number>>

/** Every disk with its slot. One that has none gets the first that is free; the first disk of all gets the first slot. */
export function assignSlots(
  known: Slots | undefined,
  disks: readonly { readonly id: string }[],
): Record<string, number> {
  const slots = slotsOf(known ?? {}, disks)
  for (const { id } of disks) slots[id] ??= lowestFree(new Set(Object.values(slots)))
  return slots
}

/** The slots of these disks, as far as they have one. */
export function slotsOf(known: Slots, disks: readonly { readonly id: string }[]): Record<string, number> {
  return Object.fromEntries(disks.flatMap(({ id }) => (known[id] === undefined ? [] : [[id, known[id]]])))
}

function lowestFree(used: ReadonlySet<number>): number {
  let slot = 0
  while (used.has(slot)) slot += 1
  return slot
}

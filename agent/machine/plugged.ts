import { basename } from 'node:path'
import type { Slots } from './slots.ts'

/** The disks of a process, as QEMU itself tells. */
export interface Plugged {
  /** Root ports for disks, by number. */
  readonly ports: ReadonlySet<number>
  /** Ids of disks by the slot of their device. Undefined for one that is none of ours. */
  readonly devices: ReadonlyMap<number, string | undefined>
  /** Names of block nodes by the slot that they are for, each before those that it uses. */
  readonly nodes: ReadonlyMap<number, readonly string[]>
}

interface BlockNode {
  readonly 'node-name': string
  readonly file: string
}

/** Reads what `qom-list` says of /machine/peripheral, and `query-named-block-nodes`. */
export function toPlugged(peripherals: readonly string[], blockNodes: readonly BlockNode[]): Plugged {
  const numbers = (pattern: RegExp) => peripherals.flatMap((name) => numberIn(name, pattern))
  const files = new Map(blockNodes.map((node) => [node['node-name'], node.file]))
  const nodes = new Map<number, string[]>()
  for (const name of [...files.keys()].toSorted()) {
    for (const slot of numberIn(name, /^disk-(\d+)(-.*)?$/)) nodes.set(slot, [...(nodes.get(slot) ?? []), name])
  }
  const idOf = (slot: number) => /^([0-9a-f-]{36})\.qcow2$/.exec(basename(files.get(`disk-${slot}-file`) ?? ''))?.[1]
  return {
    ports: new Set(numbers(/^disk-port-(\d+)$/)),
    devices: new Map(numbers(/^disk-(\d+)$/).map((slot) => [slot, idOf(slot)])),
    nodes,
  }
}

function numberIn(name: string, pattern: RegExp): number[] {
  const digits = pattern.exec(name)?.[1]
  return digits === undefined ? [] : [Number(digits)]
}

/** The slot of a disk that the process has. */
export function slotOf({ devices }: Plugged, id: string): number | undefined {
  return [...devices].find(([, diskId]) => diskId === id)?.[0]
}

export type PlugStep =
  | { readonly do: 'Look' }
  | { readonly do: 'Detach'; readonly slot: number; readonly id: string }
  /** Removes the nodes that a device left, or that never got one. */
  | { readonly do: 'Clean'; readonly slot: number }
  | { readonly do: 'Attach'; readonly slot: number; readonly id: string }
  | { readonly do: 'Wait'; readonly forMs?: number }

export interface PlugSituation {
  /** Ids of the disks that the machine is to have. */
  readonly wanted: readonly string[]
  /** Undefined: nobody has looked since the last change. */
  readonly plugged: Plugged | undefined
  readonly slots: Slots
  /** When the guest was last asked to give a disk back, in milliseconds of a clock that only grows, by the disk's id. */
  readonly askedMs: ReadonlyMap<string, number>
  readonly nowMs: number
}

/** A guest that was booting heard nothing of it. */
const ASK_AGAIN_MS = 10_000

/** What to do next about the disks of a process, from scratch each time. */
export function nextPlugStep(situation: PlugSituation): PlugStep {
  const { plugged } = situation
  if (!plugged) return { do: 'Look' }
  const left = [...plugged.nodes.keys()].find((slot) => !plugged.devices.has(slot))
  if (left !== undefined) return { do: 'Clean', slot: left }
  const detaching = toDetach(situation, plugged)
  const due = detaching.find(({ inMs }) => inMs <= 0)
  if (due) return { do: 'Detach', slot: due.slot, id: due.id }
  const attach = toAttach(situation, plugged)
  if (attach) return { do: 'Attach', ...attach }
  const waits = detaching.map(({ inMs }) => inMs)
  return waits.length > 0 ? { do: 'Wait', forMs: Math.min(...waits) } : { do: 'Wait' }
}

function toDetach({ wanted, askedMs, nowMs }: PlugSituation, { devices }: Plugged) {
  return [...devices].flatMap(([slot, id]) => {
    if (id === undefined || wanted.includes(id)) return []
    const asked = askedMs.get(id)
    return [{ slot, id, inMs: asked === undefined ? 0 : asked + ASK_AGAIN_MS - nowMs }]
  })
}

/** Whether there is no root port for a disk that is wanted. */
export function lacksPort({ wanted, slots }: Pick<PlugSituation, 'wanted' | 'slots'>, plugged: Plugged): boolean {
  return wanted.some((id) => slotOf(plugged, id) === undefined && freeSlot(id, wanted, slots, plugged) === undefined)
}

function toAttach({ wanted, slots }: PlugSituation, plugged: Plugged): { slot: number; id: string } | undefined {
  for (const id of wanted) {
    if (slotOf(plugged, id) !== undefined) continue
    const slot = freeSlot(id, wanted, slots, plugged)
    if (slot !== undefined) return { slot, id }
  }
  return undefined
}

function freeSlot(
  id: string,
  wanted: readonly string[],
  slots: Slots,
  { ports, devices }: Plugged,
): number | undefined {
  const free = [...ports].filter((slot) => !devices.has(slot)).toSorted((a, b) => a - b)
  const kept = slots[id]
  if (kept !== undefined && free.includes(kept)) return kept
  const others = new Set(wanted.map((other) => slots[other]))
  return free.find((slot) => !others.has(slot))
}

import type { ObservedMachine } from '../contract.ts'
import type { Reply } from '../qmp/commands.ts'
import { QmpError } from '../qmp/errors.ts'
import { topNode } from './block-graph.ts'
import type { Guest } from './guest.ts'
import { usageOf, type Usage } from './processes.ts'
import type { MachineRecord } from './record.ts'
import type { Slots } from './slots.ts'

/** What a machine uses. Without a process it uses nothing, and neither `usage` nor `drives` is there. */
export interface MachineMeasure {
  readonly machine: Pick<ObservedMachine, 'id' | 'name' | 'state' | 'restarts'>
  /** What its process was started with; as ordered where there is none, undefined where the host does not know. */
  readonly hardware?: { readonly cpus: number; readonly memoryBytes: number; readonly machineType: string }
  readonly usage?: Usage
  /** Undefined also when the process's monitor did not answer in time. */
  readonly drives?: readonly Drive[]
}

/** What went through one disk since the process was started. */
export interface Drive {
  /** Id of the disk. */
  readonly id: string
  readonly stats: DriveStats
}
export type DriveStats = Reply<'query-blockstats'>[number]['stats']

/** QEMU answers within a millisecond, or hangs. */
const PATIENCE_MS = 500

/** Looks at a machine's process, and asks its monitor what went through its disks. */
export async function measureMachine(
  { id, name, state, restarts }: ObservedMachine,
  record: Pick<MachineRecord, 'desired' | 'launch' | 'slots'>,
  guest: Pick<Guest, 'process' | 'state' | 'ask'> | undefined,
): Promise<MachineMeasure> {
  const { cpus, memoryBytes, machineType } = (guest && record.launch?.hardware) ?? record.desired
  const known = { machine: { id, name, state, restarts }, hardware: { cpus, memoryBytes, machineType } }
  const usage = guest && usageOf(guest.process)
  if (!guest || !usage) return known
  const drives = await measureDrives(guest, record.slots ?? {})
  return { ...known, usage, ...(drives && { drives }) }
}

async function measureDrives(guest: Pick<Guest, 'state' | 'ask'>, slots: Slots): Promise<Drive[] | undefined> {
  // It was asked just now whether it still answers.
  if (guest.state === 'Silent') return undefined
  try {
    return toDrives(await guest.ask('query-blockstats', undefined, PATIENCE_MS), slots)
  } catch (error) {
    if (error instanceof QmpError) return undefined
    throw error
  }
}

/** The disks among what QEMU counts, by the slots that they are in. */
export function toDrives(blocks: Reply<'query-blockstats'>, slots: Slots): Drive[] {
  const ids = new Map(Object.entries(slots).map(([id, slot]) => [topNode(slot), id]))
  return blocks.flatMap(({ 'node-name': node = '', stats }) => {
    const id = ids.get(node)
    return id === undefined ? [] : [{ id, stats }]
  })
}

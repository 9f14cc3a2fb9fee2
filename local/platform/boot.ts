import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyOf } from '../../lib/kube/paths.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { serialFolder, type Home } from '../home.ts'
import { findLeftGuests } from './left-guests.ts'
import type { LocalHosts } from './hosts.ts'
import type { Inventory } from './readiness.ts'

const BOOTED = 'holdfast-guest: booted'
const PATIENCE_MS = 45_000
const POLL_MS = 200

/** Where the serial logs ended before anything was started. */
export interface BootMarks {
  readonly folder: string
  /** Bytes, by the name of the log. */
  readonly sizes: ReadonlyMap<string, number>
  /** Guests run from before, and will not boot. */
  readonly isAdopted: boolean
}

/** To be called before the agent starts. */
export async function markBoots(home: Home): Promise<BootMarks> {
  const folder = serialFolder(home)
  const names = await readdir(folder).catch(ifMissing([]))
  const sizes = await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).size] as const))
  return { folder, sizes: new Map(sizes), isAdopted: (await findLeftGuests(home)).length > 0 }
}

export interface Watcher {
  readonly hosts: Pick<LocalHosts, 'ports'>
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Waits until the sample machine, if one runs on a host of this computer, has said on its serial console that its guest booted. */
export async function watchBoot(
  marks: BootMarks,
  { machines }: Inventory,
  { hosts, say, signal }: Watcher,
): Promise<void> {
  const vm = machines.find((each) => isSample(each) && hosts.ports.has(each.status?.host ?? ''))
  if (!vm || marks.isAdopted) return
  const name = keyOf(vm.metadata)
  const log = `${vm.status?.machineId ?? ''}.log`
  say(`VirtualMachine ${name} runs; its guest boots`)
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline && !signal.aborted) {
    if ((await readFrom(join(marks.folder, log), marks.sizes.get(log) ?? 0)).includes(BOOTED)) {
      say(`the guest of ${name} has booted`)
      return
    }
    await sleep(POLL_MS)
  }
  if (signal.aborted) return
  say(`the guest of ${name} has not said yet that it booted: see ${join(marks.folder, log)}`)
}

function isSample({ spec, status }: VirtualMachine): boolean {
  return spec.rootDisk.imageRef?.name === 'holdfast-guest' && status?.printableStatus === 'Running'
}

/** The text of a log from an offset on; all of it, when it was meanwhile begun anew. */
async function readFrom(path: string, offset: number): Promise<string> {
  const file = await open(path).catch(ifMissing(undefined))
  if (!file) return ''
  await using opened = file
  const { size } = await opened.stat()
  const from = size < offset ? 0 : offset
  const { buffer, bytesRead } = await opened.read(Buffer.alloc(size - from), 0, size - from, from)
  return buffer.toString('utf8', 0, bytesRead)
}

function ifMissing<T>(otherwise: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise
    throw error
  }
}

import type { Log } from '../../lib/log.ts'
import type { ObservedMachine } from '../contract.ts'
import { AgentError } from '../errors.ts'
import { QmpError } from '../qmp/errors.ts'
import type { OpenableDisk } from '../storage/storage.ts'
import { diskPorts } from './argv.ts'
import { blockGraph, deviceId, diskDevice, topNode } from './block-graph.ts'
import { surplusOf } from './disk-claims.ts'
import type { Guest } from './guest.ts'
import { lacksPort, nextPlugStep, slotOf, toPlugged, type Plugged, type PlugStep } from './plugged.ts'
import type { StoredRecord } from './stored-record.ts'

const TRY_AGAIN_MS = 10_000
/** QEMU closes a disk a moment after its device is gone. */
const CLEAN_AGAIN_MS = 100
/** A guest that has a disk for so long after it was asked is in use of it. */
const KEEPS_AFTER_MS = 15_000

/** What is asked of a process. */
export type Monitored = Pick<Guest, 'state' | 'deviceDeletions' | 'ask'>

type PendingDisks = NonNullable<ObservedMachine['pendingDisks']>

interface Circumstances {
  readonly guest: Monitored
  /** What the machine holds claims on. */
  readonly disks: readonly OpenableDisk[]
  readonly nowMs: number
}

interface Sight {
  readonly guest: Monitored
  readonly deletions: number
  readonly plugged: Plugged
}

/** Plugs disks into a process that runs, and out of it. What it has is asked of QEMU, for agents come and go. */
export class DiskPlugs {
  readonly #record: StoredRecord
  readonly #directIo: boolean
  readonly #log: Log
  readonly #askedMs = new Map<string, { readonly firstMs: number; readonly lastMs: number }>()
  #sight: Sight | undefined
  /** Something was done since somebody looked. */
  #isStale = false
  #failure: string | undefined

  constructor(record: StoredRecord, directIo: boolean, log: Log) {
    this.#record = record
    this.#directIo = directIo
    this.#log = log
  }

  /** What a process has is known from what it was started with. */
  noteLaunch(guest: Monitored): void {
    const { slots = {} } = this.#record.current
    const used = Object.values(slots)
    const ports = Array.from({ length: diskPorts(used) }, (_, slot) => `disk-port-${slot}`)
    const nodes = Object.entries(slots).map(([id, slot]) => ({ 'node-name': `disk-${slot}-file`, file: `${id}.qcow2` }))
    this.#askedMs.clear()
    this.#failure = undefined
    this.#isStale = false
    this.#sight = {
      guest,
      deletions: guest.deviceDeletions,
      plugged: toPlugged([...ports, ...used.map(deviceId)], nodes),
    }
  }

  /** What is known of the process; undefined when somebody has to look. */
  plugged(guest: Monitored | undefined): Plugged | undefined {
    const sight = this.#sight
    const isCurrent = !this.#isStale && sight && sight.guest === guest && sight.deletions === guest.deviceDeletions
    return isCurrent ? sight.plugged : undefined
  }

  /** The last that was seen of the process. */
  #lastSeen(guest: Monitored | undefined): Plugged | undefined {
    return guest !== undefined && this.#sight?.guest === guest ? this.#sight.plugged : undefined
  }

  /**
   * Whether a process may have a disk open. One that never had a slot was never given to it, whatever changed since; but
   * where an earlier record was lost, so were the slots of what it was started with.
   */
  isOpen(guest: Monitored | undefined, id: string): boolean {
    if (guest === undefined) return false
    const plugged = this.plugged(guest)
    if (plugged) return slotOf(plugged, id) !== undefined
    const { slots, mayHoldOthers } = this.#record.current
    return slots === undefined || mayHoldOthers === true || slots[id] !== undefined
  }

  next(guest: Monitored | undefined, nowMs: number): PlugStep {
    if (!guest || guest.state === 'Silent') return { do: 'Wait' }
    const { desired, slots = {} } = this.#record.current
    const wanted = desired.disks.map(({ id }) => id)
    const askedMs = new Map([...this.#askedMs].map(([id, { lastMs }]) => [id, lastMs]))
    return nextPlugStep({ wanted, plugged: this.plugged(guest), slots, askedMs, nowMs })
  }

  /** Whether a disk waits for a root port, of which there are more at the next start. */
  lacksPort(guest: Monitored | undefined): boolean {
    const plugged = this.#lastSeen(guest)
    const { desired, slots = {} } = this.#record.current
    return plugged !== undefined && lacksPort({ wanted: desired.disks.map(({ id }) => id), slots }, plugged)
  }

  /** Disks that the machine has yet to get, or to give back. */
  pending(guest: Monitored | undefined, nowMs: number): PendingDisks {
    const record = this.#record.current
    const plugged = this.#lastSeen(guest)
    const message = this.#failure === undefined ? {} : { message: this.#failure }
    const detaching = surplusOf(record).map((id) => {
      const asked = this.#askedMs.get(id)
      const isKept = asked !== undefined && nowMs - asked.firstMs >= KEEPS_AFTER_MS
      return { id, action: 'Detach' as const, ...(isKept && { isKept }), ...message }
    })
    const missing = plugged ? record.desired.disks.filter(({ id }) => slotOf(plugged, id) === undefined) : []
    return [...missing.map(({ id }) => ({ id, action: 'Attach' as const, ...message })), ...detaching]
  }

  /** Returns after how many milliseconds to go on; undefined: at once. */
  async perform(step: Exclude<PlugStep, { do: 'Wait' }>, circumstances: Circumstances): Promise<number | undefined> {
    try {
      await this.#carryOut(step, circumstances)
      this.#failure = undefined
      return undefined
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      if (step.do === 'Clean' && error.code === 'QMP_REFUSED') return CLEAN_AGAIN_MS
      this.#log.warn({ machine: this.#record.id, step, code: error.code, err: error }, 'a disk cannot be plugged')
      this.#failure = error.code === 'QMP_REFUSED' ? error.message : 'the process of the machine does not answer'
      return TRY_AGAIN_MS
    } finally {
      if (step.do !== 'Look') this.#isStale = true
    }
  }

  async #carryOut(step: Exclude<PlugStep, { do: 'Wait' }>, { guest, disks, nowMs }: Circumstances): Promise<void> {
    switch (step.do) {
      case 'Look':
        return this.#look(guest)
      case 'Clean':
        return clean(guest, this.plugged(guest)?.nodes.get(step.slot) ?? [])
      case 'Detach': {
        this.#askedMs.set(step.id, { firstMs: this.#askedMs.get(step.id)?.firstMs ?? nowMs, lastMs: nowMs })
        return detach(guest, step.slot)
      }
      case 'Attach':
        return this.#attach(
          guest,
          step.slot,
          disks.find(({ id }) => id === step.id),
        )
    }
  }

  async #look(guest: Monitored): Promise<void> {
    const deletions = guest.deviceDeletions
    const peripherals = await guest.ask('qom-list', { path: '/machine/peripheral' })
    const nodes = await guest.ask('query-named-block-nodes', { flat: true })
    const plugged = toPlugged(
      peripherals.map(({ name }) => name),
      nodes,
    )
    this.#sight = { guest, deletions, plugged }
    this.#isStale = false
    const open = new Set(plugged.devices.values())
    for (const id of this.#askedMs.keys()) if (!open.has(id)) this.#askedMs.delete(id)
  }

  async #attach(guest: Monitored, slot: number, disk: OpenableDisk | undefined): Promise<void> {
    if (!disk) throw new AgentError('INTERNAL', 'a disk is plugged in that was not claimed')
    await this.#record.update((record) => {
      return record.slots?.[disk.id] === slot ? record : { ...record, slots: { ...record.slots, [disk.id]: slot } }
    })
    for (const node of blockGraph(disk, slot, this.#directIo)) await guest.ask('blockdev-add', { ...node })
    await guest.ask('device_add', diskDevice(disk, slot))
    this.#log.info({ machine: this.#record.id, disk: disk.id, slot }, 'plugged in')
  }

  /** Makes a disk larger that the process has open. False when it has not, or does not answer. */
  async resize(guest: Monitored, id: string, sizeBytes: number): Promise<boolean> {
    try {
      if (!this.plugged(guest)) await this.#look(guest)
      const plugged = this.plugged(guest)
      const slot = plugged && slotOf(plugged, id)
      if (slot === undefined) return false
      await guest.ask('block_resize', { 'node-name': topNode(slot), size: sizeBytes })
      return true
    } catch (error) {
      if (!(error instanceof QmpError)) throw error
      this.#log.warn({ machine: this.#record.id, disk: id, code: error.code, err: error }, 'a disk cannot grow')
      return false
    }
  }
}

async function clean(guest: Monitored, nodes: readonly string[]): Promise<void> {
  for (const node of nodes) await guest.ask('blockdev-del', { 'node-name': node })
}

async function detach(guest: Monitored, slot: number): Promise<void> {
  try {
    await guest.ask('device_del', { id: deviceId(slot) })
  } catch (error) {
    // The guest was asked already, or has just given it back. What is so is looked at next.
    if (!(error instanceof QmpError) || error.code !== 'QMP_REFUSED') throw error
  }
}

import type { Log } from '../../lib/log.ts'
import { AgentError } from '../errors.ts'
import type { OpenableDisk, Storage } from '../storage/storage.ts'
import type { Owner } from './launch.ts'
import type { MachineRecord } from './record.ts'
import { slotsOf } from './slots.ts'
import type { StoredRecord } from './stored-record.ts'

/** The claims of one machine on its disks. Storage keeps them; this knows which of them this agent has seen granted. */
export class DiskClaims {
  readonly #storage: Pick<Storage, 'claimDisks' | 'releaseDisks'>
  readonly #record: StoredRecord
  readonly #log: Log
  #granted: { readonly key: string; readonly disks: readonly OpenableDisk[] } | undefined
  #releaseFailed = false

  constructor(record: StoredRecord, storage: Pick<Storage, 'claimDisks' | 'releaseDisks'>, log: Log) {
    this.#record = record
    this.#storage = storage
    this.#log = log
  }

  /** Whether the machine's present decision holds its present disks. */
  get areHeld(): boolean {
    return this.#granted?.key === keyOf(this.#record.current)
  }

  /** The disks that were granted last. */
  get granted(): readonly OpenableDisk[] {
    return this.#granted?.disks ?? []
  }

  /** Whether the machine holds claims on disks that it is to have no longer, and that can be released. */
  get haveSurplus(): boolean {
    return this.hasSurplus(() => false)
  }

  /** The same, of a machine whose process has some of them open. */
  hasSurplus(isOpen: (id: string) => boolean): boolean {
    return !this.#releaseFailed && surplusOf(this.#record.current).some((id) => !isOpen(id))
  }

  /** Throws `AgentError` as storage does: none is claimed then. Once granted it costs nothing to ask again. */
  async claim(owner: Owner | undefined, isOpen?: (id: string) => boolean): Promise<readonly OpenableDisk[]> {
    const record = this.#record.current
    const key = keyOf(record)
    if (this.#granted?.key === key) return this.#granted.disks
    const { id, decision, disks: wanted } = record.desired
    const claimant = { id, decision, ...(isOpen ? { isOpen } : {}), ...(owner ? { owner } : {}) }
    const disks = await this.#storage.claimDisks(claimant, wanted)
    this.#granted = { key, disks }
    return disks
  }

  /** Gives back what the machine is to have no longer and has not open. A storage that is away is tried again later. */
  async releaseSurplus(isOpen: (id: string) => boolean): Promise<void> {
    const { id } = this.#record.current.desired
    // Also asked of claims that only storage knows: one that was away when the record was lost may lie beside an open disk.
    const isKept = onceEach((disk) => isWanted(this.#record.current, disk) || isOpen(disk))
    // Where one of them is wanted again, also under the same decision, it is claimed anew.
    if (this.granted.some((disk) => !isKept(disk.id))) this.#granted = undefined
    try {
      await this.#storage.releaseDisks(id, isKept, this.#all)
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      // It must not keep the machine from starting with the disks that are there.
      this.#releaseFailed = true
      this.#log.warn({ machine: id, code: error.code, err: error }, 'a disk cannot be released yet')
      return
    }
    await this.#record.update((record) => {
      const left = record.claims.filter(({ id: disk }) => isKept(disk) || isWanted(record, disk))
      return { ...record, claims: left, ...(record.slots && { slots: slotsOf(record.slots, left) }) }
    })
  }

  /** Gives back all. The machine must be off. Throws when a storage is away. */
  async releaseAll(): Promise<void> {
    await this.#storage.releaseDisks(this.#record.current.desired.id, () => false, this.#all)
    this.#granted = undefined
  }

  /** Storage looks at the disks again before they are next opened: a process that ended may have left one dirty. */
  recheck(): void {
    this.#granted = undefined
  }

  tryReleaseAgain(): void {
    this.#releaseFailed = false
  }

  get #all(): MachineRecord['claims'] | undefined {
    const { claims, mayHoldOthers } = this.#record.current
    return mayHoldOthers === true ? undefined : claims
  }
}

/** What is asked again has the same answer: a process may open or close a disk while storages are searched. */
function onceEach(isTrue: (id: string) => boolean): (id: string) => boolean {
  const answers = new Map<string, boolean>()
  return (id) => {
    const answer = answers.get(id) ?? isTrue(id)
    answers.set(id, answer)
    return answer
  }
}

function keyOf({ desired: { decision, disks } }: MachineRecord): string {
  return JSON.stringify([decision.id, disks.map(({ id }) => id)])
}

/** Ids of disks that the machine may hold claims on although it is to have them no longer. */
export function surplusOf(record: MachineRecord): string[] {
  return record.claims.flatMap(({ id }) => (isWanted(record, id) ? [] : [id]))
}

// Asked of the record as it is then: an order may have come while disks were released.
function isWanted({ desired }: MachineRecord, diskId: string): boolean {
  return desired.disks.some(({ id }) => id === diskId)
}

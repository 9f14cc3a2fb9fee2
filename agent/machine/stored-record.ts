import type { RecordStore } from './record-store.ts'
import type { MachineRecord } from './record.ts'

/** A machine's record and its file. What is read from it has been stored, apart from a new machine's first record. */
export class StoredRecord {
  readonly #store: Pick<RecordStore, 'save'>
  #current: MachineRecord
  #isStored: boolean
  #saving: Promise<void> = Promise.resolve()

  constructor(record: MachineRecord, isStored: boolean, store: Pick<RecordStore, 'save'>) {
    this.#current = record
    this.#isStored = isStored
    this.#store = store
  }

  /** The machine's. */
  get id(): string {
    return this.#current.desired.id
  }

  get current(): MachineRecord {
    return this.#current
  }

  /** Whether the host remembers the machine after a crash. */
  get isStored(): boolean {
    return this.#isStored
  }

  /** Stores what `change` makes of the record. One change at a time, each seeing the last; none if it throws. */
  async update(change: (record: MachineRecord) => MachineRecord): Promise<void> {
    const saved = this.#updateAfter(this.#saving, change)
    this.#saving = saved.catch(() => undefined) // It is the caller's; the next change goes on from the old record.
    await saved
  }

  async #updateAfter(last: Promise<void>, change: (record: MachineRecord) => MachineRecord): Promise<void> {
    await last
    const record = change(this.#current)
    if (record === this.#current && this.#isStored) return
    await this.#store.save(record)
    this.#current = record
    this.#isStored = true
  }
}

import { expect, test } from 'vitest'
import type { MachineRecord } from './record.ts'
import { StoredRecord } from './stored-record.ts'
import { newRecord } from './testing.ts'

/** Keeps what is saved. One that fails keeps nothing. */
function newStore() {
  const stored: MachineRecord[] = []
  const failures: Error[] = []
  const save = async (record: MachineRecord) => {
    await Promise.resolve()
    const failure = failures.pop()
    if (failure) throw failure
    stored.push(record)
  }
  return { stored, failures, save }
}

const more = (record: MachineRecord): MachineRecord => ({ ...record, restarts: record.restarts + 1 })

test('Changes at once are made one after the other, each on the last', async () => {
  const store = newStore()
  const record = new StoredRecord(newRecord(), true, store)
  await Promise.all([record.update(more), record.update(more), record.update(more)])
  expect(store.stored.map(({ restarts }) => restarts)).toEqual([1, 2, 3])
  expect(record.current.restarts).toBe(3)
})

test('Change that cannot be stored is not made, and the next one is', async () => {
  const store = newStore()
  const record = new StoredRecord(newRecord(), true, store)
  store.failures.push(new Error('the disk is full'))
  const [failed, next] = await Promise.allSettled([record.update(more), record.update(more)])
  expect([failed.status, next.status]).toEqual(['rejected', 'fulfilled'])
  expect(record.current.restarts).toBe(1)
})

test('Change is seen only once it is stored', async () => {
  const store = newStore()
  const record = new StoredRecord(newRecord(), true, store)
  const changing = record.update(more)
  expect(record.current.restarts).toBe(0)
  await changing
  expect(store.stored).toEqual([record.current])
})

test('Change that changes nothing writes nothing, apart from the first of a new machine', async () => {
  const store = newStore()
  const record = new StoredRecord(newRecord(), false, store)
  expect(record.isStored).toBe(false)
  await record.update((same) => same)
  await record.update((same) => same)
  expect(store.stored).toHaveLength(1)
  expect(record.isStored).toBe(true)
})

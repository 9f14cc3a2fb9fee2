import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { DiskClaims } from './disk-claims.ts'
import type { MachineRecord } from './record.ts'
import { StoredRecord } from './stored-record.ts'
import { newDesired, newRecord } from './testing.ts'

const claims = [{ id: randomUUID(), storage: 'fast' }]

/** Storages that a machine with this record needs, to be released; undefined: all that are known. */
async function neededBy(change: Partial<MachineRecord>): Promise<string[] | undefined> {
  let needed: string[] | undefined
  const storage = {
    claimDisks: async () => [],
    releaseDisks: async (_id: string, _isKept: (id: string) => boolean, among?: readonly { storage: string }[]) => {
      needed = among?.map(({ storage: name }) => name)
    },
  }
  const record = new StoredRecord(newRecord({ claims, ...change }), true, { save: async () => undefined })
  await new DiskClaims(record, storage, silentLog).releaseAll()
  return needed
}

test('DiskClaims are released on the storages that the record names', async () => {
  expect(await neededBy({})).toEqual(['fast'])
  expect(await neededBy({ claims: [] })).toEqual([])
})

test('DiskClaims of a record that may know only some of them are looked for everywhere', async () => {
  expect(await neededBy({ mayHoldOthers: true })).toBeUndefined()
})

test('DiskClaims of which one is wanted again while it is released are claimed anew', async () => {
  const [kept, other] = [randomUUID(), randomUUID()].map((id) => ({ id, storage: 'fast' }))
  if (!kept || !other) throw new Error('unreachable')
  const desired = newDesired({ disks: [kept, other] })
  const order = (disks: typeof desired.disks) =>
    record.update((last) => ({ ...last, desired: { ...last.desired, disks } }))
  const record = new StoredRecord(newRecord({ desired, claims: desired.disks }), true, { save: async () => undefined })
  const storage = {
    claimDisks: async () => [kept, other].map(({ id }) => ({ id, layers: [] })),
    releaseDisks: () => order([kept, other]),
  }
  const diskClaims = new DiskClaims(record, storage, silentLog)
  await diskClaims.claim(undefined)
  await order([kept])
  await diskClaims.releaseSurplus(() => false)
  expect(record.current.claims).toEqual([kept, other])
  expect(diskClaims.areHeld).toBe(false)
})

test('DiskClaims that no record knows of are released unless their disks are open', async () => {
  const [open, closed] = [randomUUID(), randomUUID()]
  const onStorage = new Set([open, closed])
  const storage = {
    claimDisks: async () => [],
    releaseDisks: async (_id: string, isKept: (id: string) => boolean) => {
      for (const id of onStorage) if (!isKept(id)) onStorage.delete(id)
    },
  }
  const record = new StoredRecord(newRecord({ claims, mayHoldOthers: true }), true, { save: async () => undefined })
  await new DiskClaims(record, storage, silentLog).releaseSurplus((id) => id === open)
  expect([...onStorage]).toEqual([open])
  expect(record.current.claims).toEqual([])
})

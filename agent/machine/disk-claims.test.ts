import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { DiskClaims } from './disk-claims.ts'
import type { MachineRecord } from './record.ts'
import { StoredRecord } from './stored-record.ts'
import { newRecord } from './testing.ts'

const claims = [{ id: randomUUID(), storage: 'fast' }]

/** Storages that a machine with this record needs, to be released; undefined: all that are known. */
async function neededBy(change: Partial<MachineRecord>): Promise<string[] | undefined> {
  let needed: string[] | undefined
  const storage = {
    claimDisks: async () => [],
    releaseDisks: async (_id: string, _keep: readonly string[], among?: readonly { storage: string }[]) => {
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

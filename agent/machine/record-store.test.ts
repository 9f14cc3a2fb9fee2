import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { openRecordStore, unreadableRecords } from './record-store.ts'
import { newRecord } from './testing.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-'))
})
afterEach(() => rm(folder, { recursive: true }))

const openStore = () => openRecordStore(join(folder, 'machines'), silentLog)
const fileOf = (name: string) => join(folder, 'machines', name)
const byId = <T extends { desired: { id: string } }>(records: T[]) =>
  records.toSorted((a, b) => a.desired.id.localeCompare(b.desired.id))

test('Records are found again by the next agent, as they were stored last', async () => {
  const store = await openStore()
  const [first, second] = [newRecord(), newRecord({ restarts: 2 })]
  for (const record of [first, second, { ...first, uid: 5000 }]) await store.save(record)
  expect(byId(await (await openStore()).loadAll())).toEqual(byId([{ ...first, uid: 5000 }, second]))
  expect((await readdir(fileOf('.'))).toSorted()).toEqual(
    [first, second].map(({ desired }) => `${desired.id}.json`).toSorted(),
  )
})

test('Record with more claims than a machine may have disks is found again: some are to be given back', async () => {
  const store = await openStore()
  const claims = Array.from({ length: 40 }, () => ({ id: randomUUID(), storage: 'fast' }))
  const record = newRecord({ claims })
  await store.save(record)
  expect(await (await openStore()).loadAll()).toEqual([record])
})

test('Record that is removed is gone, and may be removed again', async () => {
  const store = await openStore()
  const record = newRecord()
  await store.save(record)
  await store.remove(record.desired.id)
  await store.remove(record.desired.id)
  expect(await store.loadAll()).toEqual([])
})

test.each([
  ['is torn', (text: string) => text.slice(0, 40)],
  ['is empty', () => ''],
  ['is full of zeros', (text: string) => '\0'.repeat(text.length)],
  ['is of a later version', (text: string) => text.replace('"version":1', '"version":2')],
  ['is of another machine', () => JSON.stringify(newRecord())],
])('Record that %s is put aside, and keeps no other from being read', async (_why, spoil) => {
  const store = await openStore()
  const [good, bad] = [newRecord(), newRecord()]
  await store.save(good)
  await store.save(bad)
  const name = `${bad.desired.id}.json`
  const spoilt = spoil(await readFile(fileOf(name), 'utf8'))
  await writeFile(fileOf(name), spoilt)
  expect(await store.loadAll()).toEqual([good])
  const names = await readdir(fileOf('.'))
  const aside = names.find((other) => other.startsWith(`${name}.unreadable`)) ?? ''
  expect(names).not.toContain(name)
  expect(await readFile(fileOf(aside), 'utf8')).toBe(spoilt)
  expect(await store.loadAll()).toEqual([good])
  expect(unreadableRecords(names)).toEqual([bad.desired.id])
  await store.save(bad)
  expect(unreadableRecords(await readdir(fileOf('.')))).toEqual([])
})

test('Record that a crash left half written is removed, and other files are left alone', async () => {
  const store = await openStore()
  const record = newRecord()
  await store.save(record)
  await writeFile(fileOf(`${record.desired.id}.json.half.tmp`), '{')
  await writeFile(fileOf('README'), 'of a person')
  expect(await store.loadAll()).toEqual([record])
  expect((await readdir(fileOf('.'))).toSorted()).toEqual(['README', `${record.desired.id}.json`].toSorted())
})

import { randomUUID } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Claim } from '../contract.ts'
import { claimAll, judgeClaim, listClaims, readClaim, releaseAll, type Place } from './claims.ts'
import { newDecision, newDiskFolder, newFolder } from './testing.ts'

const machineId = '11111111-1111-4111-8111-111111111111'
const other = '22222222-2222-4222-8222-222222222222'
const own = '33333333-3333-4333-8333-333333333333'
const before = '44444444-4444-4444-8444-444444444444'

const claimOf = (machine: string, decision: string, epoch = 1): Claim => ({
  machineId: machine,
  decision: { id: decision, epoch },
})

test.each([
  ['Free', 'nobody', undefined],
  ['Held', 'this machine by this decision', claimOf(machineId, own)],
  ['Follows', 'this machine by a decision that is followed', claimOf(machineId, before)],
  ['Foreign', 'this machine by a decision that is not followed', claimOf(machineId, other)],
  // After etcd was set back to yesterday an epoch comes twice, and says nothing.
  ['Foreign', 'this machine by another decision of the same epoch', claimOf(machineId, other, 7)],
  ['Foreign', 'this machine by an older decision that is not followed', claimOf(machineId, other, 1)],
  ['Foreign', 'another machine', claimOf(other, other)],
  ['Foreign', 'another machine by a decision that is followed', claimOf(other, before)],
  ['Foreign', 'another machine by this decision', claimOf(other, own)],
])('a disk is %s when claimed by %s', (judgement, _name, found) => {
  const claimant = { id: machineId, decision: { id: own, epoch: 7, follows: [before] } }
  expect(judgeClaim(found, claimant)).toBe(judgement)
})

async function newPlaces(path: string, count: number): Promise<Place[]> {
  const folder = await newDiskFolder(path)
  return Array.from({ length: count }, () => ({ folder, id: randomUUID() }))
}

test('claims are written, taken over, and released', async () => {
  await using dir = await newFolder()
  const places = await newPlaces(dir.path, 3)
  const first = newDecision(1)
  const second = newDecision(2, first.id)
  await claimAll({ id: machineId, decision: first }, places)
  await claimAll({ id: machineId, decision: first }, places)
  await claimAll({ id: machineId, decision: second }, places)
  const found = await listClaims(places[0]?.folder as Place['folder'])
  expect(found.map(({ claim }) => claim)).toEqual(Array(3).fill(claimOf(machineId, second.id, 2)))
  await releaseAll(places)
  expect(await readdir(join(dir.path, 'disks'))).toEqual([])
})

test('of several disks all are claimed or none', async () => {
  await using dir = await newFolder()
  const places = await newPlaces(dir.path, 3)
  const mine = newDecision(1)
  const [, , foreign] = places as [Place, Place, Place]
  await claimAll({ id: other, decision: newDecision(4) }, [foreign])
  const details = await readClaim(foreign)
  const claiming = claimAll({ id: machineId, decision: mine }, places)
  await expect(claiming).rejects.toMatchObject({ code: 'DISK_CLAIMED', details })
  expect(await listClaims(foreign.folder)).toHaveLength(1)
})

test('of claims that were half written none remains, and what was taken over is given back', async () => {
  await using dir = await newFolder()
  const [held, free] = (await newPlaces(dir.path, 2)) as [Place, Place]
  const first = newDecision(1)
  await claimAll({ id: machineId, decision: first }, [held])
  const unwritable = { id: randomUUID(), folder: { ...held.folder, path: join(dir.path, 'missing') } }
  const claiming = claimAll({ id: machineId, decision: newDecision(2, first.id) }, [held, free, unwritable])
  await expect(claiming).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await readClaim(held)).toEqual(claimOf(machineId, first.id))
  expect(await readClaim(free)).toBeUndefined()
  expect((await readdir(join(dir.path, 'disks'))).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

test('of two machines that claim a disk at once one gets it', async () => {
  await using dir = await newFolder()
  const places = await newPlaces(dir.path, 1)
  const machines = Array.from({ length: 8 }, () => ({ id: randomUUID(), decision: newDecision(1) }))
  const results = await Promise.allSettled(machines.map((machine) => claimAll(machine, places)))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  const winner = machines[results.findIndex(({ status }) => status === 'fulfilled')]
  expect(await readClaim(places[0] as Place)).toMatchObject({ machineId: winner?.id })
})

test('a disk with a damaged claim is nobody’s to take', async () => {
  await using dir = await newFolder()
  const [place] = (await newPlaces(dir.path, 1)) as [Place]
  const path = join(dir.path, 'disks', `${place.id}.claim.json`)
  await writeFile(path, '{"machineId":')
  const claiming = claimAll({ id: machineId, decision: newDecision(1) }, [place])
  await expect(claiming).rejects.toMatchObject({ code: 'INTERNAL' })
  expect(await readFile(path, 'utf8')).toBe('{"machineId":')
})

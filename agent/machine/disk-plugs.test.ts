import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { silentLog } from '../../lib/log.ts'
import { DiskPlugs, type Monitored } from './disk-plugs.ts'
import type { MachineRecord } from './record.ts'
import { StoredRecord } from './stored-record.ts'
import { newDesired, newRecord } from './testing.ts'

const [given, never] = [randomUUID(), randomUUID()]

function newWorld(known: Pick<MachineRecord, 'slots' | 'mayHoldOthers'> = {}) {
  const record = new StoredRecord(newRecord({ desired: newDesired(), ...known }), true, {
    save: async () => undefined,
  })
  const guest: { -readonly [K in keyof Monitored]: Monitored[K] } = {
    state: 'running',
    deviceDeletions: 0,
    ask: async () => {
      throw new Error('nothing is asked')
    },
  }
  const plugs = new DiskPlugs(record, false, silentLog)
  return { guest, plugs }
}

test('A disk that a process never had a slot for is not open, also while nobody knows what the process has now', () => {
  const { guest, plugs } = newWorld({ slots: { [given]: 0 } })
  plugs.noteLaunch(guest)
  expect([given, never].map((id) => plugs.isOpen(guest, id))).toEqual([true, false])
  guest.deviceDeletions += 1
  expect(plugs.plugged(guest)).toBeUndefined()
  expect([given, never].map((id) => plugs.isOpen(guest, id))).toEqual([true, false])
  expect(plugs.isOpen(undefined, given)).toBe(false)
})

test('Any disk may be open of a process whose slots were never written down', () => {
  const { guest, plugs } = newWorld()
  expect(plugs.isOpen(guest, never)).toBe(true)
})

test('Any disk may be open of a process whose record was lost, whatever it was given since, until somebody has looked', () => {
  const { guest, plugs } = newWorld({ slots: { [given]: 0 }, mayHoldOthers: true })
  expect(plugs.isOpen(guest, never)).toBe(true)
  plugs.noteLaunch(guest)
  expect(plugs.isOpen(guest, never)).toBe(false)
})

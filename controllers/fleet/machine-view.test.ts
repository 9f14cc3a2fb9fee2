import { describe, expect, test } from 'vitest'
import type { MachineState, ObservedMachine } from '../../agent/contract.ts'
import { newMachineView } from './machine-view.ts'

const DISK = '22222222-2222-4222-8222-222222222222'
const ID = '11111111-1111-4111-8111-111111111111'

describe('MachineView', () => {
  test.each([
    [1, 2],
    [2, 1],
  ])('keeps the later observation, whichever comes first: %d, %d', (first, second) => {
    const view = newMachineView()
    view.note(seen(first))
    view.note(seen(second))
    expect(view.get(ID)?.revision).toBe(2)
  })

  test('says whether anything but the revision is new', () => {
    const view = newMachineView()
    expect(
      [seen(1), seen(2), seen(3, 'Stopped'), seen(2), seen(4, 'Stopped')].map((machine) => view.note(machine)),
    ).toEqual([true, false, true, false, false])
    expect(view.get(ID)).toMatchObject({ revision: 4, state: 'Stopped' })
  })

  test('forgets a machine that is absent', () => {
    const view = newMachineView()
    view.note(seen(1))
    view.note(seen(2, 'Absent'))
    expect(view.get(ID)).toBeUndefined()
  })

  test('does not forget it for an absence that is older', () => {
    const view = newMachineView()
    view.note(seen(3))
    view.note(seen(2, 'Absent'))
    expect(view.get(ID)?.revision).toBe(3)
  })

  test('does not bring it back for an observation that is older than its absence', () => {
    const view = newMachineView()
    view.note(seen(3, 'Absent'))
    view.note(seen(2, 'Stopping'))
    expect(view.get(ID)).toBeUndefined()
    view.note(seen(4, 'Starting'))
    expect(view.get(ID)?.state).toBe('Starting')
  })

  test('tells which machine has a disk: neither one that was refused it, nor one that let it go', () => {
    const view = newMachineView()
    const disks = [{ id: DISK, storage: 'local' }]
    view.note({ ...seen(1), disks })
    expect([view.holderOf(DISK)?.id, view.holderOf(ID)]).toEqual([ID, undefined])
    const refused = (disk: string) => ({ code: 'DISK_CLAIMED', message: `Disk ${disk} is claimed by another one` })
    view.note({ ...seen(2, 'Stopped'), disks, problem: refused(DISK) })
    expect(view.holderOf(DISK)).toBeUndefined()
    view.note({ ...seen(3), disks, problem: refused(ID) })
    expect(view.holderOf(DISK)?.id).toBe(ID)
    view.note({ ...seen(4), disks: [], pendingDisks: [{ id: DISK, action: 'Detach' }] })
    expect(view.holderOf(DISK)?.id).toBe(ID)
    view.note({ ...seen(5), disks: [] })
    expect(view.holderOf(DISK)).toBeUndefined()

    view.note({ ...seen(6), disks })
    view.note(seen(7, 'Absent'))
    expect(view.holderOf(DISK)).toBeUndefined()
    view.replace([{ ...seen(1), disks }])
    expect(view.holderOf(DISK)?.id).toBe(ID)
    view.replace([])
    expect(view.holderOf(DISK)).toBeUndefined()
  })

  test('takes a new session as it is, for a new agent counts from the start', () => {
    const view = newMachineView()
    view.note(seen(900))
    view.replace([seen(1)])
    expect(view.get(ID)?.revision).toBe(1)
    view.note(seen(2, 'Stopped'))
    expect(view.get(ID)?.state).toBe('Stopped')
    view.replace([])
    expect(view.get(ID)).toBeUndefined()
  })
})

function seen(revision: number, state: MachineState = 'Running'): ObservedMachine {
  return {
    id: ID,
    name: 'shop/web',
    decision: { id: ID, epoch: 1 },
    power: 'Running',
    state,
    pendingRestart: [],
    restarts: 0,
    revision,
  }
}

import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { report, type Round } from './report.ts'

test('Steps are told by their seconds, next to those of creating, and by their writes', () => {
  const step = (seconds: number, key: string) => ({
    seconds,
    writes: new Map([
      [key, 100],
      ['PUT leases', 9],
    ]),
  })
  const round: Round = {
    create: step(10, 'POST disks'),
    delete: step(20, 'DELETE virtualmachines'),
    recover: step(30, 'POST virtualmachines'),
    purge: step(5, 'DELETE recycledresources'),
    again: 2,
  }
  const figures = report({ rounds: [round, round], machines: 50, say: () => undefined })
  expect(figures).toMatchObject({
    createSeconds: 10,
    deleteSeconds: 20,
    deleteRatio: 2,
    recoverRatio: 3,
    purgeWritesPerVm: 2,
    deletesAgain: 4,
    rounds: 2,
  })
  expect(oddFigures(figures)).toEqual([])
})

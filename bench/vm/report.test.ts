import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { writesPerMachine } from '../writes.ts'
import { report } from './report.ts'

test('A machine is told by its ratio to the same calls by hand, and by all that was written for it', () => {
  const counted = new Map(
    Object.entries({
      'POST virtualmachines': 5,
      'PUT virtualmachines/status': 10,
      'POST disks': 5,
      'PUT disks/status': 5,
      'PATCH hosts/status': 5,
      'POST events': 10,
      'PUT leases': 3,
    }),
  )
  const lines: string[] = []
  const figures = report({
    floor: [60, 50, 70],
    copied: [50, 45, 50],
    running: [90, 80, 100],
    readied: [120, 120, 120],
    firsts: [150, 150, 150],
    writes: writesPerMachine(counted, 5),
    say: (line) => void lines.push(line),
  })
  expect(figures).toMatchObject({
    ratio: 1.5,
    readyRatio: 2,
    firstRatio: 2.5,
    copyRatio: 1.8,
    floorMs: 60,
    ms: 90,
    rounds: 3,
  })
  expect(figures).toMatchObject({ writesPerVm: 7, vmWritesPerVm: 2, diskWritesPerVm: 2, eventsPerVm: 2 })
  expect(figures.writes).toMatchObject({ 'PATCH hosts/status': 1 })
  expect(oddFigures(figures)).toEqual([])
  expect(lines.join('\n')).toContain("the user's create and Leases apart")
})

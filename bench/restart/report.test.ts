import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { sizesUpTo } from './fill.ts'
import { report, type Figures } from './report.ts'

function of(machines: number, change: Partial<Figures> = {}): Figures {
  return {
    machines,
    fill: { made: machines, seconds: machines / 20, again: 0, failed: 0, neverReady: 0 },
    failures: new Map(),
    cpuMsPerVm: 10,
    cpuMsSpread: [9, 11],
    reconcileMs: { virtualMachine: 4, disk: 3 },
    readyMs: 100,
    restartMs: machines,
    rssMb: 100,
    peakRssMb: 150,
    makerPeakRssMb: 160,
    ...change,
  }
}

function play(...figures: Figures[]) {
  const lines: string[] = []
  const result = report({ figures, rounds: 3, say: (line) => void lines.push(line) })
  return { lines, result }
}

test('The ratio is what one machine more costs among most, next to fewest; single figures are of 1,000', () => {
  const { result } = play(of(100), of(1_000, { peakRssMb: 170 }), of(10_000, { cpuMsPerVm: 12 }))
  expect(result).toMatchObject({
    ratio: 1.2,
    restartMs: 1_000,
    peakRssMb: 170,
    machines: [100, 1_000, 10_000],
    cpuMsSpread: [
      [9, 11],
      [9, 11],
      [9, 11],
    ],
    peakRssMbRestarted: [150, 170, 150],
    peakRssMbMade: [160, 160, 160],
    reconcileMs: { virtualMachine: [4, 4, 4], disk: [3, 3, 3] },
    fillVmsPerSecond: [20, 20, 20],
    errors: 0,
    rounds: 3,
  })
  expect(oddFigures(result)).toEqual([])
})

test('With fewer than 1,000 machines single figures are of the most that there were', () => {
  const { result } = play(of(100))
  expect(result).toMatchObject({ ratio: 1, restartMs: 100, peakRssMb: 160 })
  expect(oddFigures(result)).toEqual([])
})

test('A figure that is nought makes a ratio all the same', () => {
  expect(oddFigures(play(of(100, { cpuMsPerVm: 0 }), of(1_000)).result)).toEqual([])
  expect(
    oddFigures(play(of(100, { fill: { made: 0, seconds: 0, again: 0, failed: 0, neverReady: 0 } })).result),
  ).toEqual([])
})

test('No error is said only when nothing failed, of creates, machines or controllers', () => {
  expect(play(of(100)).lines).toContain('no error')
  const fill = { made: 97, seconds: 5, again: 7, failed: 3, neverReady: 2 }
  const { lines, result } = play(of(100, { fill, failures: new Map([['reconcile disk', 4]]) }))
  expect(result).toMatchObject({
    errors: 9,
    createsAgain: [7],
    createsFailed: [3],
    neverReady: [2],
    failures: [{ 'reconcile disk': 4 }],
  })
  expect(lines).toContain('9 errors')
  expect(lines.join('\n')).toContain('reconcile disk: 4')
})

test.each([
  [10_000, [100, 1_000, 10_000]],
  [5_000, [100, 1_000, 5_000]],
  [1_000, [100, 1_000]],
  [500, [100, 500]],
])('Up to %i machines are measured at %j', (machines, sizes) => {
  expect(sizesUpTo(machines)).toEqual(sizes)
})

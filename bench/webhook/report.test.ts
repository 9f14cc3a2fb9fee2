import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { report, type Pair, type Played } from './report.ts'

const sample = (ms: number, refused = 0) => ({ latenciesMs: [ms, ms, 2 * ms], seconds: 1, refused })
const pair = (floor: number, ours: number, refused = 0): Pair => ({ floor: sample(floor), ours: sample(ours, refused) })

test('Admission is told by its ratio to the floor, one at a time and many at once', () => {
  const played: Played = { alone: pair(0.4, 0.6), together: pair(8, 16) }
  const figures = report({
    played: [played, played],
    deletes: { alone: pair(30, 36, 1), together: pair(100, 150) },
    peakRssMb: { writes: 140, all: 160 },
    lanes: 50,
    machines: 1_000,
    say: () => undefined,
  })
  expect(figures).toMatchObject({
    p50Ratio: 1.5,
    p90Ratio: 1.5,
    p50RatioAt50: 2,
    p50Ms: 0.6,
    floorP50Ms: 0.4,
    deleteP50Ratio: 1.2,
    deleteP50RatioAt50: 1.5,
    deletesRefused: 1,
    peakRssMb: 160,
    rounds: 2,
  })
  expect(oddFigures(figures)).toEqual([])
})

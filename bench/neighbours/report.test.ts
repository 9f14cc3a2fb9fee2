import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { report, type Round, type Run } from './report.ts'

const run = (vmsPerSecond: number, benchCpuSeconds = 1): Run => ({ vmsPerSecond, benchCpuSeconds, waitedSeconds: 0 })

function round(speeds: readonly [well: number, slow: number, dead: number, flooding: number, together: number]): Round {
  const [well, slow, dead, flooding, together] = speeds
  return {
    well: run(well),
    slow: run(slow),
    dead: { ...run(dead), waitedSeconds: 400 },
    flooding: run(flooding, 5),
    together: run(together, 6),
  }
}

test('Each trouble has a ratio of its own to the same round without', () => {
  const rounds = [round([40, 40, 38, 36, 32]), round([20, 20, 20, 20, 18]), round([100, 90, 96, 91, 81])]
  const lines: string[] = []
  const figures = report({ rounds, machines: 1_000, hosts: 47, say: (line) => void lines.push(line) })
  expect(figures).toEqual({
    ratio: 0.81,
    slow: 1,
    dead: 0.96,
    flooding: 0.91,
    spread: { well: [1, 1], slow: [0.9, 1], dead: [0.95, 1], flooding: [0.9, 1], together: [0.8, 0.9] },
    vmsPerSecond: 32,
    vmsPerSecondBy: { well: 40, slow: 40, dead: 38, flooding: 36, together: 32 },
    benchCpuSeconds: { well: 1, slow: 1, dead: 1, flooding: 5, together: 6 },
    waitedSeconds: { well: 0, slow: 0, dead: 400, flooding: 0, together: 0 },
    machines: 1_000,
    rounds: 3,
  })
  expect(oddFigures(figures)).toEqual([])
  expect(lines.find((line) => line.includes('is dead'))).toMatch(/38 +0\.96 +0\.95 to 1 +1 +400$/)
})

import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { report } from './report.ts'

test('An agent is told by its median minute', () => {
  const minutes = [
    { agent: 0.8, guests: 40 },
    { agent: 1.2, guests: 44 },
    { agent: 0.9, guests: 42 },
  ]
  const usage = { cpuSeconds: 30, rssMb: 95.04, peakRssMb: 98.76 }
  const figures = report({ minutes, usage, guests: 50, say: () => undefined })
  expect(figures).toEqual({
    peakRssMb: 98.8,
    rssMb: 95,
    idleCpuPercent: 0.9,
    guests: 50,
    guestsCpuPercent: 42,
    rounds: 3,
  })
  expect(oddFigures(figures)).toEqual([])
})

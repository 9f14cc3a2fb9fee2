import { pid, resourceUsage } from 'node:process'
import { expect, test } from 'vitest'
import { usageOf } from './usage.ts'

test('Memory of a process is in units of a million bytes', async () => {
  const { rssMb, peakRssMb, cpuSeconds } = await usageOf(pid)
  const byNode = (resourceUsage().maxRSS * 1024) / 1e6
  expect(Math.abs(peakRssMb / byNode - 1)).toBeLessThan(0.03) // MiB would be 5 % less.
  expect(rssMb).toBeLessThanOrEqual(peakRssMb)
  expect(cpuSeconds).toBeGreaterThan(0)
})

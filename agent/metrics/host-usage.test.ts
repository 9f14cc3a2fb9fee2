import { expect, test } from 'vitest'
import { readHostUsage, toAvailableBytes, toCpuSeconds } from './host-usage.ts'

test('CPU time is read from the sum of all CPUs, without what guests used, which is in it already', () => {
  const stat = 'cpu  100 20 300 4000 50 6 7 8 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n'
  expect(toCpuSeconds(stat)).toEqual({
    user: 1,
    nice: 0.2,
    system: 3,
    idle: 40,
    iowait: 0.5,
    irq: 0.06,
    softirq: 0.07,
    steal: 0.08,
  })
})

test('Memory that can be had is what the kernel says', () => {
  expect(toAvailableBytes('MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n')).toBe(2 * 2 ** 20)
})

test('This host has CPUs, memory, and has worked', () => {
  const { cpus, memoryBytes, memoryAvailableBytes = 0, cpuSeconds = {} } = readHostUsage()
  expect(cpus).toBeGreaterThan(0)
  expect(memoryAvailableBytes).toBeGreaterThan(0)
  expect(memoryBytes).toBeGreaterThan(memoryAvailableBytes)
  expect(cpuSeconds['user']).toBeGreaterThan(0)
})

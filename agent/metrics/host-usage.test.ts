import { expect, test } from 'vitest'
import { readHostUsage, toAvailableBytes, toCpuSeconds, toTraffic } from './host-usage.ts'

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

const DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  9000     10    0    0    0     0          0         0     9000     10    0    0    0     0       0          0
  eno1:18446744073   46699    0    0    0     0          0         0  4067912   34700    0    0    0     0       0          0
wlp2s0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
 bond0:    5000     20    0    0    0     0          0         0     6000     30    0    0    0     0       0          0
eth0.7:     500      2    0    0    0     0          0         0      600      3    0    0    0     0       0          0
  tap0:     100      2    0    0    0     0          0         0      600      3    0    0    0     0       0          0
veth12ab@if3: 100    2    0    0    0     0          0         0      600      3    0    0    0     0       0          0
  bad0:     100      2
  bad1: nothing
  bad2

`
const traffic = (name: string, receivedBytes: number, transmittedBytes: number) => ({
  name,
  receivedBytes,
  transmittedBytes,
})

test('Network traffic is that of interfaces with hardware, and odd lines are passed over', () => {
  const hasHardware = (name: string) => ['eno1', 'wlp2s0', 'bad0'].includes(name)
  expect(toTraffic(DEV, hasHardware)).toEqual([traffic('eno1', 18_446_744_073, 4_067_912), traffic('wlp2s0', 0, 0)])
})

test('Network traffic of a host without hardware is that of what does not belong to guests', () => {
  expect(toTraffic(DEV, () => false).map(({ name }) => name)).toEqual(['eno1', 'wlp2s0', 'bond0', 'eth0.7'])
  expect(toTraffic('', () => false)).toEqual([])
})

test('This host has CPUs, memory, and has worked', () => {
  const { cpus, memoryBytes, memoryAvailableBytes = 0, cpuSeconds = {}, network = [] } = readHostUsage()
  expect(cpus).toBeGreaterThan(0)
  expect(memoryAvailableBytes).toBeGreaterThan(0)
  expect(memoryBytes).toBeGreaterThan(memoryAvailableBytes)
  expect(cpuSeconds['user']).toBeGreaterThan(0)
  expect(network.map(({ name }) => name)).not.toContain('lo')
})

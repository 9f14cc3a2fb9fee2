import { expect, test } from 'vitest'
import { report, type Turn } from './report.ts'

const NO_TAIL = { events: 0, seconds: 0 }

function turn(seconds: number, cpuSeconds: number, peakRssMb: number, tail = NO_TAIL): Turn {
  return {
    seconds,
    tail,
    cpuSeconds,
    apiServerCpuSeconds: 1,
    peakRssMb,
    writes: new Map([
      ['POST virtualmachines', 10],
      ['PUT virtualmachines/status', 20],
      ['POST disks', 10],
      ['PUT disks/status', 10],
      ['POST events', 20],
      ['PATCH leases', 3],
    ]),
  }
}

test('the report puts Holdfast over controller-runtime, and has the figures of both', () => {
  const lines: string[] = []
  const figures = report({
    rounds: [
      { holdfast: turn(1, 3, 150), controllerRuntime: turn(2, 1, 60) },
      { holdfast: turn(2, 5, 170), controllerRuntime: turn(1, 3, 80) },
      { holdfast: turn(4, 4, 160, { events: 5, seconds: 1 }), controllerRuntime: turn(4, 2, 70) },
    ],
    machines: 10,
    say: (line) => void lines.push(line),
  })
  expect(figures).toEqual({
    ratio: 0.8,
    readyRatio: 1,
    vmsPerSecond: 5,
    controllerRuntimeVmsPerSecond: 5,
    writtenVmsPerSecond: 5,
    controllerRuntimeWrittenVmsPerSecond: 5,
    cpuSeconds: 4,
    controllerRuntimeCpuSeconds: 2,
    peakRssMb: 160,
    controllerRuntimePeakRssMb: 70,
    vmWritesPerVm: 2,
    controllerRuntimeVmWritesPerVm: 2,
    diskWritesPerVm: 2,
    controllerRuntimeDiskWritesPerVm: 2,
    eventsPerVm: 2,
    apiServerCpuSeconds: 1,
    controllerRuntimeApiServerCpuSeconds: 1,
    lateEventsPerVm: 0,
    controllerRuntimeLateEventsPerVm: 0,
    controllerRuntimeEventsPerVm: 2,
    machines: 10,
    rounds: 3,
  })
  expect(lines[0]).toMatch(/Holdfast +controller-runtime$/)
  expect(lines.join('\n')).not.toMatch(/leases|POST virtualmachines/)
})

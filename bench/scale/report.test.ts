import { expect, test } from 'vitest'
import { oddFigures } from '../testing.ts'
import { report, type Round } from './report.ts'

const counts = (of: Record<string, number>) => new Map(Object.entries(of))

function round(change: Partial<Round> = {}): Round {
  return {
    seconds: 2,
    tail: { events: 20, seconds: 0.25 },
    replaySeconds: 1.8,
    deleteSeconds: 4,
    restartMs: 1_500,
    writes: counts({
      'POST virtualmachines': 100,
      'PUT virtualmachines/status': 200,
      'POST disks': 100,
      'POST events': 200,
      'PUT leases': 30,
      'POST subjectaccessreviews': 50,
    }),
    failures: counts({}),
    cpuSeconds: counts({ controllers: 1, etcd: 0.5 }),
    idle: { writes: counts({}), cpuPercent: 0.5 },
    usage: new Map([
      ['controllers', { cpuSeconds: 9, rssMb: 120, peakRssMb: 140 }],
      ['etcd', { cpuSeconds: 8, rssMb: 50, peakRssMb: 60 }],
    ]),
    ...change,
  }
}

const play = (...rounds: Round[]) => report({ rounds, machines: 100, say: () => undefined })

test('Speeds are next to those of the replay in the same round, until all is written', () => {
  const figures = play(round(), round({ seconds: 4, replaySeconds: 2 }), round({ seconds: 1, replaySeconds: 0.95 }))
  expect(figures).toMatchObject({
    ratio: 0.76,
    vmsPerSecond: 50,
    replayVmsPerSecond: 55.6,
    restartMs: 1_500,
    rounds: 3,
  })
  expect(figures).toMatchObject({ readyRatio: 0.9, writtenVmsPerSecond: 44.4, lateEventsPerVm: 0.2 })
  expect(oddFigures(figures)).toEqual([])
})

test('What failed in the controllers is told', () => {
  const lines: string[] = []
  const failed = round({ failures: counts({ 'API 500': 2 }) })
  const { failures } = report({ rounds: [failed, failed], machines: 100, say: (line) => void lines.push(line) })
  expect(failures).toEqual({ 'API 500': 4 })
  expect(lines).toContain('failures of the controllers: API 500: 4')
})

test("Writes are those that are kept, but for the user's own create", () => {
  expect(play(round(), round())).toMatchObject({
    writesPerVm: 5,
    vmWritesPerVm: 2,
    diskWritesPerVm: 1,
    eventsPerVm: 2,
    writes: { 'PUT virtualmachines/status': 2, 'POST disks': 1, 'POST events': 2 },
  })
})

test('Every process is shown with its CPU and the most memory of all rounds', () => {
  const usage = new Map([['controllers', { cpuSeconds: 1, rssMb: 80, peakRssMb: 90 }]])
  expect(play(round(), round({ usage, cpuSeconds: counts({ controllers: 3 }) }))).toMatchObject({
    cpuSeconds: 2,
    cpuSecondsBy: { controllers: 2 },
    peakRssMb: 140,
    peakRssMbBy: { controllers: 140 },
  })
  expect(play(round())).toMatchObject({ cpuSecondsBy: { etcd: 0.5 }, peakRssMbBy: { etcd: 60 } })
})

test('Writes of an idle minute are told by kind, and those of the worst one together', () => {
  const idle = { writes: counts({ 'PATCH hosts/status': 2, 'POST events': 1 }), cpuPercent: 0.9 }
  expect(play(round(), round({ idle }), round())).toMatchObject({
    idleWrites: 3,
    idleWritesBy: { 'PATCH hosts/status': 2, 'POST events': 1 },
    idleCpuPercent: 0.5,
  })
})

test('A platform without a process of the controllers still has figures', () => {
  expect(oddFigures(play(round({ usage: new Map(), cpuSeconds: new Map() })))).toEqual([])
})

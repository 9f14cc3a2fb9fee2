import { expect, test } from 'vitest'
import { newMetrics } from './metrics.ts'

const quiet = { ofProcess: false }

test('Metrics are told in the text format, each with its help', async () => {
  const metrics = newMetrics(quiet)
  const looks = metrics.counter({ name: 'looks_total', help: 'Looks.', labels: ['who'] })
  const took = metrics.histogram({ name: 'look_seconds', help: 'How long.', labels: ['who'] }, [0.1, 1])
  looks.inc({ who: 'a"b' })
  looks.inc({ who: 'a"b' }, 2)
  took.observe({ who: 'c' }, 0.5)
  expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await metrics.render()).toBe(
    [
      '# HELP looks_total Looks.\n# TYPE looks_total counter\nlooks_total{who="a\\"b"} 3\n',
      '# HELP look_seconds How long.\n# TYPE look_seconds histogram',
      'look_seconds_bucket{le="0.1",who="c"} 0\nlook_seconds_bucket{le="1",who="c"} 1\nlook_seconds_bucket{le="+Inf",who="c"} 1',
      'look_seconds_sum{who="c"} 0.5\nlook_seconds_count{who="c"} 1\n',
    ].join('\n'),
  )
  looks.remove({ who: 'a"b' })
  took.remove({ who: 'c' })
  expect(await metrics.render()).not.toContain('who=')
})

test('What is sampled has the series of the last sample and no others, and a total may be less than before', async () => {
  const metrics = newMetrics(quiet)
  const gauge = metrics.sampledGauge({ name: 'depth', help: 'Depth.', labels: ['name'] })
  const counter = metrics.sampledCounter({ name: 'cpu_seconds_total', help: 'CPU.', labels: ['name'] })
  let names = ['a', 'b']
  let value = 5
  metrics.onScrape(() => {
    gauge.replace(names.map((name) => [{ name }, value]))
    counter.replace([...names, ...names].map((name) => [{ name }, value]))
  })
  const scrape = async () => (await metrics.render()).split('\n').filter((line) => line.includes('{'))
  expect(await scrape()).toEqual([
    'depth{name="a"} 5',
    'depth{name="b"} 5',
    'cpu_seconds_total{name="a"} 5',
    'cpu_seconds_total{name="b"} 5',
  ])
  names = ['b']
  value = 0
  expect(await scrape()).toEqual(['depth{name="b"} 0', 'cpu_seconds_total{name="b"} 0'])
})

test('Whoever asks while metrics are gathered gets the same; a failure is told, and tried again', async () => {
  const metrics = newMetrics(quiet)
  let gathered = 0
  metrics.onScrape(async () => {
    gathered += 1
    if (gathered === 2) throw new Error('no /proc')
    await Promise.resolve()
  })
  const [one, other] = await Promise.all([metrics.render(), metrics.render()])
  expect(one).toBe(other)
  expect(gathered).toBe(1)
  await expect(metrics.render()).rejects.toThrow('no /proc')
  expect(await metrics.render()).toBe(one)
})

test('Two registries share nothing, and a process has its own figures without misnamed ones', async () => {
  const [first, second] = [newMetrics({ ofProcess: true }), newMetrics(quiet)]
  second.counter({ name: 'looks_total', help: 'Looks.', labels: ['who'] }).inc({ who: 'x' })
  const text = await first.render()
  expect(text).not.toContain('looks_total')
  expect(text).toMatch(/^process_resident_memory_bytes \d+$/m)
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m)
  const misnamed = first.describe().filter(({ name, type }) => name.endsWith('_total') && type !== 'counter')
  expect(misnamed).toEqual([])
  expect(second.describe()).toEqual([{ name: 'looks_total', help: 'Looks.', type: 'counter', labels: ['who'] }])
})

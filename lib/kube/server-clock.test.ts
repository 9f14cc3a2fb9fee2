import { expect, test } from 'vitest'
import type { Kube } from './client.ts'
import { withServerClock } from './server-clock.ts'

test('the time is that of the last answer, and goes on between two', async () => {
  let monotonic = 5_000
  const dates = [new Date('2026-01-01T00:00:00Z'), undefined, new Date('2026-01-02T00:00:00Z')]
  const answering = {
    send: async () => ({ status: 200, body: undefined, warnings: [], date: dates.shift() }),
    async *stream() {},
  } as Pick<Kube, 'send' | 'stream'>
  const kube = withServerClock(answering, { monotonicMs: () => monotonic })
  expect(() => kube.clock.now()).toThrow('has not told its time yet')
  await kube.send({ method: 'GET', path: '/' })
  monotonic += 1_500
  expect(kube.clock.now()).toEqual(new Date('2026-01-01T00:00:01.500Z'))
  await kube.send({ method: 'GET', path: '/' })
  expect(kube.clock.now()).toEqual(new Date('2026-01-01T00:00:01.500Z'))
  await kube.send({ method: 'GET', path: '/' })
  expect(kube.clock.now()).toEqual(new Date('2026-01-02T00:00:00.000Z'))
})

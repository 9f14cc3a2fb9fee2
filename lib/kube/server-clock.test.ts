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

/** A server that has a request for so long, and whose answer takes so long, beside a local clock that goes too fast. */
function newServer(nowMs = Date.parse('2026-01-01T00:00:00.600Z')) {
  const server = { nowMs, workMs: 0, wayMs: 0, ppm: 0 }
  let localMs = 5_000
  const pass = (ms: number) => {
    server.nowMs += ms
    localMs += ms * (1 + server.ppm / 1_000_000)
  }
  const answering = {
    async send() {
      pass(server.workMs)
      const date = new Date(Math.floor(server.nowMs / 1_000) * 1_000)
      pass(server.wayMs)
      return { status: 200, body: undefined, warnings: [], date }
    },
    async *stream() {},
  } as unknown as Pick<Kube, 'send' | 'stream'>
  const kube = withServerClock(answering, { monotonicMs: () => localMs })
  return {
    server,
    pass,
    ask: async (workMs: number, wayMs: number) => {
      Object.assign(server, { workMs, wayMs })
      await kube.send({ method: 'GET', path: '/' })
    },
    aheadMs: () => kube.clock.now().getTime() - server.nowMs,
  }
}

test.each([
  ['at once', 0, 0],
  ['after a long wait, as when it was busy and was asked again', 9_000, 0],
  ['that takes long to come', 0, 9_000],
  ['late, and that takes long to come', 4_000, 5_000],
])('[DEL-19] it is never later than the server says that answers %s', async (_, workMs, wayMs) => {
  const { ask, aheadMs } = newServer()
  await ask(workMs, wayMs)
  expect(aheadMs()).toBeLessThanOrEqual(0)
  expect(aheadMs()).toBeGreaterThanOrEqual(-1_000 - wayMs)
})

test('[DEL-19] a slow answer does not set it back that was right a moment ago', async () => {
  const { ask, aheadMs } = newServer()
  await ask(0, 0)
  await ask(0, 9_000)
  expect(aheadMs()).toBeGreaterThanOrEqual(-1_000)
  expect(aheadMs()).toBeLessThanOrEqual(0)
})

test('[DEL-19] it does not run ahead with a local clock that is too fast', async () => {
  const { server, pass, ask, aheadMs } = newServer()
  server.ppm = 200
  for (let count = 0; count < 10_000; count++) {
    pass(7_300)
    await ask(count % 3, count % 5)
    // What the local clock gains in 10 s.
    expect(aheadMs()).toBeLessThanOrEqual(4)
  }
})

test('it follows a clock of the server that is set back', async () => {
  const { server, ask, aheadMs } = newServer()
  await ask(0, 0)
  server.nowMs -= 5_000
  await ask(10, 10)
  expect(aheadMs()).toBeLessThanOrEqual(0)
})

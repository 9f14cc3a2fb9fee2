import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { json, serveAnswers, type Answer } from './testing-server.ts'

const done = json(200, {})

test('deletes with a body use connections again as other calls do', async () => {
  await using served = await serveAnswers([done])
  const { kube, requests } = served
  for (let index = 0; index < 6; index++) {
    await kube.send({ method: 'DELETE', path: '/x', body: { propagationPolicy: 'Background' } })
    await nextTurn()
  }
  expect(requests).toHaveLength(6)
  expect(new Set(requests.map(({ socket }) => socket)).size).toBeLessThanOrEqual(2)
})

test('calls that are never answered hold up others, but no urgent one', async () => {
  const answer: Answer = (request, response) => {
    if (request.url === '/urgent') done(request, response)
  }
  await using served = await serveAnswers([answer])
  const { kube, requests } = served
  const giveUp = new AbortController()
  const hung = Array.from({ length: 100 }, async () =>
    kube.send({ method: 'POST', path: '/hung', body: {}, signal: giveUp.signal }),
  )
  const ended = Promise.allSettled(hung)
  await expect.poll(() => requests.length, { interval: 2, timeout: 4_000 }).toBeGreaterThan(10)
  await kube.send({ method: 'GET', path: '/urgent', isUrgent: true, deadlineMs: 4_000 })
  const sent = requests.length
  expect(sent).toBeLessThan(100)
  giveUp.abort(new Error('no longer wanted'))
  expect((await ended).map(({ status }) => status)).toEqual(hung.map(() => 'rejected'))
  // What had not had its turn is never sent, and the next call finds a connection.
  await kube.send({ method: 'GET', path: '/urgent', deadlineMs: 4_000 })
  await sleep(50)
  expect(requests).toHaveLength(sent + 1)
})

import { randomUUID } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import type { AgentEvent, ObservedMachine } from './contract.ts'
import { newEventHub } from './event-hub.ts'

const ids = [randomUUID(), randomUUID(), randomUUID()] as const

function seenAs(id: string, revision: number): AgentEvent {
  return { type: 'Machine', machine: { id, revision } as ObservedMachine }
}

/** What a listener gets until a `Beat`. */
async function readToBeat(events: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const read: AgentEvent[] = []
  for await (const event of events) {
    if (event.type === 'Beat') break
    read.push(event)
  }
  return read
}

test('Listener gets what was there first, then what happens, from the call on', async () => {
  const hub = newEventHub()
  hub.publish(seenAs(ids[0], 1))
  const events = hub.listen([seenAs(ids[1], 2), { type: 'Synced' }], new AbortController().signal)
  hub.publish(seenAs(ids[2], 3))
  hub.publish({ type: 'Image', path: 'a.raw' })
  hub.publish({ type: 'Beat' })
  const wanted = [seenAs(ids[1], 2), { type: 'Synced' }, seenAs(ids[2], 3), { type: 'Image', path: 'a.raw' }]
  expect(await readToBeat(events)).toEqual(wanted)
})

test('Listener that is slow gets of each thing the latest state, once', async () => {
  const hub = newEventHub()
  const events = hub.listen([], new AbortController().signal)
  for (let revision = 1; revision <= 1000; revision += 1) for (const id of ids) hub.publish(seenAs(id, revision))
  hub.publish({ type: 'Beat' })
  expect(await readToBeat(events)).toEqual(ids.map((id) => seenAs(id, 1000)))
})

test('Listener is told of every machine before it is told that it knows all, also of one that changes', async () => {
  const hub = newEventHub()
  const first: AgentEvent[] = [seenAs(ids[0], 1), seenAs(ids[1], 1), { type: 'Synced' }]
  const events = hub.listen(first, new AbortController().signal)
  hub.publish(seenAs(ids[0], 2))
  hub.publish({ type: 'Beat' })
  expect(await readToBeat(events)).toEqual([seenAs(ids[0], 2), seenAs(ids[1], 1), { type: 'Synced' }])
})

test('Listeners do not take events from each other', async () => {
  const hub = newEventHub()
  const { signal } = new AbortController()
  const [one, other] = [hub.listen([], signal), hub.listen([], signal)]
  hub.publish(seenAs(ids[0], 1))
  hub.publish({ type: 'Beat' })
  expect([await readToBeat(one), await readToBeat(other)]).toEqual([[seenAs(ids[0], 1)], [seenAs(ids[0], 1)]])
})

test('Listener hears a beat every five seconds, and nothing after its end', async () => {
  vi.useFakeTimers()
  try {
    const hub = newEventHub()
    const end = new AbortController()
    const events = hub.listen([], end.signal)[Symbol.asyncIterator]()
    const beat = events.next()
    await vi.advanceTimersByTimeAsync(5000)
    expect(await beat).toEqual({ done: false, value: { type: 'Beat' } })
    const last = events.next()
    end.abort()
    expect(await last).toEqual({ done: true, value: undefined })
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

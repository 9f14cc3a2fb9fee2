import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Deadline } from './deadline.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('Deadline aborts when nothing touched it for its time', () => {
  let told = 0
  using deadline = new Deadline(60)
  deadline.onExpired = () => told++
  for (let turn = 0; turn < 4; turn++) {
    vi.advanceTimersByTime(59)
    deadline.touch()
  }
  expect([deadline.expired, deadline.signal.aborted]).toEqual([false, false])
  vi.advanceTimersByTime(60)
  expect([deadline.expired, deadline.signal.aborted, told]).toEqual([true, true, 1])
})

test('Deadline follows the caller, with the reason', () => {
  const outer = new AbortController()
  using deadline = new Deadline(10_000, outer.signal)
  const reason = new Error('no longer wanted')
  outer.abort(reason)
  using late = new Deadline(10_000, outer.signal)
  for (const { signal, expired } of [deadline, late]) {
    expect([signal.aborted, signal.reason, expired]).toEqual([true, reason, false])
  }
})

test('Deadline does nothing once it is disposed of', () => {
  const outer = new AbortController()
  const deadline = new Deadline(5, outer.signal)
  deadline[Symbol.dispose]()
  outer.abort()
  vi.advanceTimersByTime(15)
  expect([deadline.signal.aborted, deadline.expired]).toEqual([false, false])
})

import { describe, expect, test } from 'vitest'
import type { BrakeState } from '../crds/brake-record.ts'
import { askBrake, freshBrake, latchOf, type BrakeMoment, type BrakeQuestion } from './brake.ts'
import { defaultDeletion } from './deletion.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const at = (seconds: number) => new Date(START + seconds * 1_000)

function ask(state: BrakeState, uid: string, more: Partial<BrakeQuestion> = {}) {
  const settings = { brake: { deletes: 3, seconds: 60 }, brakeReleases: [] }
  return askBrake({ state, uid, person: 'ann', kind: 'Disk', settings, now: at(0), passes: false, ...more })
}

/** The state after those deletes, all let through. */
function after(uids: readonly string[], now = at(0)): BrakeState {
  return uids.reduce((state, uid) => ask(state, uid, { now }).next, freshBrake)
}

const latched = ask(after(['a', 'b', 'c']), 'd').next
const release = (until: Date, more: object = {}) => ({
  settings: {
    brake: { deletes: 3, seconds: 60 },
    brakeReleases: [{ person: 'ann', kind: 'Disk' as const, until: until.toISOString(), ...more }],
  },
})

describe('The brake', () => {
  test('lets the number through that is set, and refuses the next', () => {
    expect(ask(after(['a', 'b']), 'c').allowed).toBe(true)
    expect(ask(after(['a', 'b', 'c']), 'd').allowed).toBe(false)
  })

  test('counts 20 in 60 s unless it is set', () => {
    expect(defaultDeletion.brake).toEqual({ deletes: 20, seconds: 60 })
  })

  test('counts one uid once, and lets it through again even when latched', () => {
    const state = after(['a', 'a', 'a', 'b', 'b'])
    expect(state.deletes).toHaveLength(2)
    expect(ask(latched, 'a')).toEqual({ allowed: true, next: latched })
  })

  test('forgets what is older than the time that is set, as long as it is not latched', () => {
    expect(ask(after(['a', 'b', 'c']), 'd', { now: at(61) }).allowed).toBe(true)
  })

  test('stays latched while attempts come, however long', () => {
    let state = latched
    for (let minute = 1; minute <= 300; minute++) {
      const { allowed, next } = ask(state, `e${minute}`, { now: at(minute * 60) })
      expect(allowed).toBe(false)
      state = next
    }
    expect(state.deletes).toHaveLength(3)
  })

  test('opens again after an hour without an attempt', () => {
    expect(ask(latched, 'e', { now: at(3_600) }).allowed).toBe(false)
    expect(ask(latched, 'e', { now: at(3_601) }).allowed).toBe(true)
  })

  test('writes an attempt down once a minute', () => {
    expect(ask(latched, 'e', { now: at(30) }).next).toBe(latched)
    expect(ask(latched, 'e', { now: at(60) }).next.lastAttemptAt).toBe(at(60).toISOString())
  })

  test('lets everything through while it is released, and counts anew afterwards', () => {
    const open = { ...release(at(600)), now: at(10) }
    const uids = ['e', 'f', 'g', 'h', 'i']
    const during = uids.reduce((state, uid) => {
      const { allowed, next } = ask(state, uid, open)
      expect(allowed).toBe(true)
      return next
    }, latched)
    expect(ask(during, 'j', { ...release(at(600)), now: at(601) }).allowed).toBe(true)
    expect(ask(latched, 'j', { ...release(at(600)), now: at(601) }).allowed).toBe(true)
  })

  test.each([
    ['of another person', release(at(600), { person: 'bob' })],
    ['of another kind', release(at(600), { kind: 'Image' })],
    ['that ended before it latched', release(at(-1))],
  ])('is not opened by a release %s', (_, settings) => {
    expect(ask(latched, 'e', { ...settings, now: at(10) }).allowed).toBe(false)
  })

  test('tells since when it holds, what went before, and when it opens, for as long as it refuses', () => {
    const latch = (now: Date, more: Partial<BrakeMoment> = {}) =>
      latchOf({ state: latched, person: 'ann', kind: 'Disk', settings: { brakeReleases: [] }, now, ...more })
    const pushed = ask(latched, 'e', { now: at(90) }).next
    expect(latch(at(100), { state: pushed })).toEqual({
      since: at(0),
      letThrough: 3,
      lastRefusedAt: at(90),
      opensAt: at(3_690),
    })
    for (const seconds of [0, 3_600, 3_601, 9_000]) {
      expect(latch(at(seconds)) === undefined).toBe(ask(latched, 'e', { now: at(seconds) }).allowed)
    }
    expect(latch(at(10), release(at(600)))).toBeUndefined()
    expect(latch(at(10), { state: after(['a', 'b', 'c']) })).toBeUndefined()
  })

  test('never stops who holds bulkDelete, and is not latched by them', () => {
    expect(ask(latched, 'e', { passes: true }).allowed).toBe(true)
    expect(ask(after(['a', 'b', 'c']), 'd', { passes: true })).toMatchObject({
      allowed: true,
      next: after(['a', 'b', 'c']),
    })
  })
})

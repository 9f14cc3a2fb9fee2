import { describe, expect, test } from 'vitest'
import { planAuthorities, type StoredAuthority } from './authorities.ts'

const HOUR_MS = 3_600_000
const periods = { authorityMs: 100 * HOUR_MS, overlapMs: 10 * HOUR_MS, certificateMs: HOUR_MS }
const hour = (hours: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + hours * HOUR_MS)
const since = (hours: number): StoredAuthority => ({
  certificate: `made at ${hours}`,
  key: '',
  since: hour(hours).toISOString(),
})
const names = (authorities: readonly StoredAuthority[]) => authorities.map(({ certificate }) => certificate)

describe('Authorities', () => {
  test.each<[string, number[], number, { keep: number[]; signer: number | undefined; lacksNext: boolean }]>([
    ['the first one is made', [], 0, { keep: [], signer: undefined, lacksNext: true }],
    ['the first one signs at once', [0], 0, { keep: [0], signer: 0, lacksNext: false }],
    ['one that is old gets a successor', [0], 100, { keep: [0], signer: 0, lacksNext: true }],
    ['the successor does not sign before it is known', [0, 100], 109, { keep: [0, 100], signer: 0, lacksNext: false }],
    ['it signs once it is known', [0, 100], 110, { keep: [0, 100], signer: 100, lacksNext: false }],
    ['the old one stays known meanwhile', [0, 100], 119, { keep: [0, 100], signer: 100, lacksNext: false }],
    ['and is forgotten then', [0, 100], 120, { keep: [100], signer: 100, lacksNext: false }],
    ['who was away for long makes one at a time', [0], 1000, { keep: [0], signer: 0, lacksNext: true }],
    ['a clock that is set back makes none', [0], -50, { keep: [0], signer: 0, lacksNext: false }],
  ])('%s', (_, stored, now, { keep, signer, lacksNext }) => {
    const plan = planAuthorities(stored.map(since).toReversed(), hour(now), periods)
    expect(names(plan.keep)).toEqual(names(keep.map(since)))
    expect(plan.signer?.certificate).toBe(signer === undefined ? undefined : since(signer).certificate)
    expect(plan.lacksNext).toBe(lacksNext)
  })

  test('the one that signs is always known to whoever looked within the overlap', () => {
    let stored: StoredAuthority[] = []
    let known = new Set<string>()
    for (let now = 0; now < 1_000; now++) {
      const plan = planAuthorities(stored, hour(now), periods)
      stored = [...plan.keep, ...(plan.lacksNext ? [since(now)] : [])]
      const { signer } = planAuthorities(stored, hour(now), periods)
      expect(stored.length).toBeLessThan(4)
      expect(known.size === 0 || known.has(signer?.certificate ?? '')).toBe(true)
      if (now % 9 === 0) known = new Set(names(stored))
    }
  })
})

import { expect, test } from 'vitest'
import type { Resource } from '../../crds/kind.ts'
import { seededRandom } from '../queue/testing.ts'
import { isNewer, ObjectCache } from './cache.ts'
import { thing } from './testing.ts'

/** A cache that files things by the value of their label `at`, with all that it told. */
function newCache() {
  const cache = new ObjectCache({ at: ({ metadata }) => metadata.labels?.['at']?.split(',') ?? [] })
  const told: string[] = []
  cache.onChange((before, after) => told.push(`${describe(before)} -> ${describe(after)}`))
  return { cache, told }
}

function describe(object: Resource | undefined): string {
  return object ? `${object.metadata.uid}@${object.metadata.resourceVersion}` : 'none'
}

test.each([
  ['9', '10', false],
  ['10', '9', true],
  ['10', '10', false],
  ['18446744073709551616', '18446744073709551615', true],
])('version %s is newer than %s: %s', (version, than, expected) => {
  expect(isNewer(version, than)).toBe(expected)
})

test('ObjectCache keeps the newest state, in whatever order the states arrive', () => {
  const { cache, told } = newCache()
  for (const version of [9, 10, 9, 10]) cache.put(thing('a', version))
  expect(cache.get('shop/a')?.metadata.resourceVersion).toBe('10')
  expect(told).toEqual(['none -> a-1@9', 'a-1@9 -> a-1@10'])
})

test('ObjectCache does not bring back what was deleted, when an older answer comes late', () => {
  const { cache, told } = newCache()
  cache.put(thing('a', 5))
  cache.delete(thing('a', 7))
  cache.put(thing('a', 6))
  cache.delete(thing('never-seen', 8))
  cache.put(thing('never-seen', 7))
  expect(cache.list()).toEqual([])
  expect(told).toEqual(['none -> a-1@5', 'a-1@5 -> none'])
})

test('ObjectCache makes a delete and an add of another object under the same name', () => {
  const { cache, told } = newCache()
  cache.put(thing('a', 5))
  cache.put(thing('a', 8, { uid: 'a-2' }))
  cache.delete(thing('a', 7)) // The event of the first one's end, late.
  cache.put(thing('a', 6))
  expect(cache.list().map(describe)).toEqual(['a-2@8'])
  expect(told).toEqual(['none -> a-1@5', 'a-1@5 -> none', 'none -> a-2@8'])
})

test('ObjectCache drops what a list lacks, but not what is newer than the list', async () => {
  const { cache, told } = newCache()
  cache.put(thing('old', 5))
  cache.put(thing('kept', 6))
  cache.put(thing('just-made', 21))
  expect(cache.isSynced).toBe(false)
  cache.replace([thing('kept', 6), thing('listed', 19)], '20')
  await cache.synced
  expect(cache.isSynced).toBe(true)
  expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(['kept', 'just-made', 'listed'])
  expect(told.slice(3)).toEqual(['none -> listed-1@19', 'old-1@5 -> none'])
  cache.put(thing('old', 20))
  expect(cache.get('shop/old')).toBeUndefined()
})

test('ObjectCache believes the next list after history went back, and tells only what differs by key', () => {
  const { cache } = newCache()
  cache.replace([thing('a', 100), thing('b', 101), thing('gone', 102)], '110')
  cache.delete(thing('back', 105))
  cache.distrust()
  expect(cache.size).toBe(3)
  cache.replace([thing('a', 40), thing('back', 41)], '50')
  expect(cache.list().map(describe)).toEqual(['a-1@40', 'back-1@41'])
})

test('ObjectCache finds objects by the values of an index, as they are now', () => {
  const { cache } = newCache()
  const at = (name: string, version: number, ...values: string[]) =>
    cache.put(thing(name, version, { labels: { at: values.join(',') } }))
  const found = (value: string) => cache.by('at', value).map(({ metadata }) => metadata.name)
  at('a', 1, 'x', 'y', 'x')
  at('b', 2, 'x')
  expect([found('x'), found('y'), found('z')]).toEqual([['a', 'b'], ['a'], []])
  at('a', 3, 'y', 'z')
  expect([found('x'), found('y'), found('z')]).toEqual([['b'], ['a'], ['a']])
  cache.delete(thing('b', 4))
  cache.put(thing('a', 5, { uid: 'a-2', labels: { at: 'w' } }))
  expect([found('w'), found('x'), found('y'), found('z')]).toEqual([['a'], [], [], []])
})

test('ObjectCache tells nobody any more who has unsubscribed', () => {
  const { cache } = newCache()
  const told: unknown[] = []
  const unsubscribe = cache.onChange((_, after) => told.push(after))
  cache.put(thing('a', 1))
  unsubscribe()
  cache.put(thing('b', 2))
  expect(told).toHaveLength(1)
})

test('ObjectCache tells who subscribes late of what is there, and then of every change', () => {
  const { cache } = newCache()
  cache.put(thing('a', 1))
  cache.put(thing('b', 2))
  cache.delete(thing('b', 3))
  const told: string[] = []
  cache.onChange((before, after) => told.push(`${describe(before)} -> ${describe(after)}`))
  cache.put(thing('a', 4))
  expect(told).toEqual(['none -> a-1@1', 'a-1@1 -> a-1@4'])
})

test('ObjectCache tells nobody any more when all subscriptions are ended', () => {
  const { cache, told } = newCache()
  cache.endSubscriptions()
  cache.put(thing('a', 1))
  expect([told, cache.size]).toEqual([[], 1])
})

test('ObjectCache leaves out managedFields, and does not change what it was given', () => {
  const { cache } = newCache()
  const object = thing('a', 1)
  Object.assign(object.metadata, { managedFields: [{ manager: 'someone' }] })
  cache.put(object)
  expect(cache.get('shop/a')?.metadata).not.toHaveProperty('managedFields')
  expect(object.metadata).toHaveProperty('managedFields')
})

test('ObjectCache forgets the oldest of very many deleted objects, and not the latest', () => {
  const { cache } = newCache()
  for (let index = 1; index <= 10_001; index++) cache.delete(thing(`a${index}`, index + 1))
  cache.put(thing('a1', 1))
  cache.put(thing('a10001', 10_001))
  expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(['a1'])
})

/** A history of writes by versions, and what is left at its end. */
function history(random: () => number) {
  const events: { type: 'put' | 'delete'; object: Resource }[] = []
  const left = new Map<string, Resource>()
  const lives = new Map<string, number>()
  for (let version = 1; version <= 200; version++) {
    const name = `t${Math.floor(random() * 8)}`
    const before = left.get(name)
    if (before && random() < 0.3) {
      left.delete(name)
      events.push({ type: 'delete', object: thing(name, version, { uid: before.metadata.uid }) })
    } else {
      const life = before ? (lives.get(name) ?? 0) : (lives.get(name) ?? 0) + 1
      const labels = { at: `v${Math.floor(random() * 4)}` }
      const object = thing(name, version, { uid: `${name}-${life}`, labels })
      lives.set(name, life)
      left.set(name, object)
      events.push({ type: 'put', object })
    }
  }
  return { events, left }
}

test.each([1, 2, 3, Date.now() % 1e6])(
  'ObjectCache ends equal to the server when events are late, doubled and mixed with answers (seed %i)',
  (seed) => {
    const random = seededRandom(seed)
    const { events, left } = history(random)
    const { cache } = newCache()
    const copy = new Map<string, string>()
    cache.onChange((before, after) => {
      const object = after ?? before
      // What is told is without gaps: each change begins where the last one ended.
      expect(copy.get(object?.metadata.name ?? '')).toBe(before && describe(before))
      if (after) copy.set(after.metadata.name, describe(after))
      else copy.delete(object?.metadata.name ?? '')
    })
    for (const [index, { type, object }] of events.entries()) {
      cache[type](object)
      // The answer to an earlier write arrives only now.
      const late = events[Math.floor(random() * (index + 1))]
      if (late?.type === 'put') cache.put(late.object)
    }
    const wanted = [...left.values()]
    expect(cache.list().map(describe).toSorted()).toEqual(wanted.map(describe).toSorted())
    expect([...copy.values()].toSorted()).toEqual(wanted.map(describe).toSorted())
    for (const value of ['v0', 'v1', 'v2', 'v3']) {
      const filed = wanted.filter(({ metadata }) => metadata.labels?.['at'] === value)
      expect(cache.by('at', value).map(describe).toSorted()).toEqual(filed.map(describe).toSorted())
    }
  },
)

import { describe, expect, test } from 'vitest'
import { brakeRecords, toBrakeData, type BrakeConfigMap, type BrakeState } from '../../crds/brake-record.ts'
import { meta, platformSettings } from '../../crds/testing/objects.ts'
import { newCaches } from '../cluster/caches.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { platformSettingsReconciler } from './reconciler.ts'
import { watchPlatformSettings } from './watches.ts'

const START = Date.parse('2026-01-01T00:00:00Z')
const at = (minutes: number) => new Date(START + minutes * 60_000).toISOString()

/** The record of a person whose brake latched at a minute, and whose last attempt was at another one. */
function record(person: string, state: Partial<BrakeState> = {}, kind = 'Disk'): BrakeConfigMap {
  const deletes = Array.from({ length: 20 }, (_, index) => ({ uid: `u-${index}`, at: at(0) }))
  const metadata = meta(`brake-${person}`, { namespace: brakeRecords.namespace })
  return { metadata, data: toBrakeData({ person, kind, state: { deletes, ...state } }) }
}

const latched = (person: string, minute = 0, last = minute) =>
  record(person, { latchedAt: at(minute), lastAttemptAt: at(last) })

class World {
  readonly store = new FakeStore(platformSettings())
  readonly told: string[] = []
  records: BrakeConfigMap[] = []
  readonly reconciler = platformSettingsReconciler({
    records: () => this.records,
    now: () => this.store.now(),
    emit: (_object, { type, reason, message }) => void this.told.push(`${type} ${reason} ${message}`),
  })

  /** Reconciles once so many minutes later. */
  async pass(minutes = 0): Promise<{ readonly retryAfterMs?: number }> {
    this.store.nowMs += minutes * 60_000
    return this.store.reconcile(this.reconciler)
  }
}

describe('PlatformSettings', () => {
  test('are ready as soon as they are seen, and then nothing is written', async () => {
    const { store, reconciler } = new World()
    await store.reconcile(reconciler, 4)
    expect(store.condition('Ready')).toMatchObject({ status: 'True', observedGeneration: 1 })
    expect(store.condition('BrakesOpen')).toMatchObject({ status: 'True' })
    expect(store.stored?.status).toMatchObject({ brakeCount: 0 })
    expect([store.writes, store.events]).toEqual([1, ['Normal Ready']])
  })

  test('that were changed say which generation was seen', async () => {
    const { store, reconciler } = new World()
    await store.reconcile(reconciler)
    store.change(({ metadata }) => void (metadata.generation = 2))
    await store.reconcile(reconciler)
    expect(store.stored?.status?.observedGeneration).toBe(2)
  })

  test('[DEL-18] list a brake that holds, tell of it once, and stay Ready', async () => {
    const world = new World()
    world.records = [record('bob'), latched('ann')]
    const { retryAfterMs } = await world.pass()
    const { status } = world.store.stored ?? {}
    expect(status).toMatchObject({ brakeCount: 1 })
    expect(status?.brakes).toEqual([
      {
        person: 'ann',
        kind: 'Disk',
        letThrough: 20,
        since: '2026-01-01T00:00:00Z',
        lastRefusedAt: '2026-01-01T00:00:00Z',
        opensAt: '2026-01-01T01:00:00Z',
      },
    ])
    expect(world.store.condition('BrakesOpen')).toMatchObject({
      status: 'False',
      reason: 'BrakeLatched',
      message:
        'ann may delete no more objects of kind Disk: stop what deletes them, or add a release to spec.deletion.brakeReleases',
    })
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.told).toEqual([
      expect.stringMatching(
        /^Warning BrakeLatched After ann deleted 20 objects of kind Disk, further ones are refused/,
      ),
    ])
    expect(retryAfterMs).toBe(3_601_000)
    const { writes } = world.store
    await world.pass(1)
    expect([world.store.writes, world.told.length]).toEqual([writes, 1])
  })

  test('[DEL-18] say when a brake that is leaned against has opened by itself', async () => {
    const world = new World()
    world.records = [latched('ann')]
    await world.pass()
    world.records = [latched('ann', 0, 30)]
    await world.pass(30)
    expect(world.store.stored?.status?.brakes).toMatchObject([{ opensAt: '2026-01-01T01:30:00Z' }])
    await world.pass(60)
    expect(world.store.stored?.status).toMatchObject({ brakeCount: 1 })
    await world.pass(1)
    expect(world.store.stored?.status).toMatchObject({ brakeCount: 0 })
    expect(world.store.stored?.status?.brakes).toBeUndefined()
    expect(world.store.condition('BrakesOpen')).toMatchObject({ status: 'True' })
    expect(world.told.slice(1)).toEqual([
      'Normal BrakeReleased ann may delete objects of kind Disk again, which was refused since 2026-01-01T00:00:00Z',
    ])
  })

  test('[DEL-18] list no brake that somebody released', async () => {
    const world = new World()
    world.records = [latched('ann'), latched('bob')]
    await world.pass()
    world.store.change(({ spec }) => {
      spec.deletion.brakeReleases = [{ person: 'ann', kind: 'Disk', until: at(10) }]
    })
    await world.pass(1)
    expect(world.store.stored?.status?.brakes).toMatchObject([{ person: 'bob' }])
    expect(world.told.at(-1)).toContain('Normal BrakeReleased ann may delete objects of kind Disk again')
  })

  test('count all of many brakes, list the latest, and tell of some', async () => {
    const world = new World()
    world.records = Array.from({ length: 50 }, (_, index) => latched(`person-${index}`, index / 100))
    await world.pass(1)
    const { brakes = [], brakeCount } = world.store.stored?.status ?? {}
    expect([brakes.length, brakeCount, brakes[0]?.person, world.told.length]).toEqual([32, 50, 'person-49', 5])
    expect(world.store.condition('BrakesOpen')?.message).toContain(
      'person-49 may delete no more objects of kind Disk, and 49',
    )
  })

  test('pass over a record that somebody wrote by hand', async () => {
    const world = new World()
    const { metadata } = record('carol')
    world.records = [{ metadata }, { metadata, data: { person: 'carol', kind: 'Disk', state: '{' } }, latched('ann')]
    await world.pass()
    expect(world.store.stored?.status).toMatchObject({ brakeCount: 1 })
  })
})

describe('A brake', () => {
  const newWatched = () => {
    const caches = newCaches()
    const [looked, told]: [string[], string[]] = [[], []]
    watchPlatformSettings(caches, (key) => looked.push(key), {
      now: () => new Date(START),
      emit: ({ kind, metadata }, { type, reason }) => void told.push(`${kind} ${metadata.name} ${type} ${reason}`),
    })
    return { caches, looked, told }
  }

  test('[DEL-18] has the settings looked at', () => {
    const { caches, looked, told } = newWatched()
    caches.platformSettings.put(platformSettings())
    caches.brakes.put(latched('ann'))
    expect([looked, told]).toEqual([['default'], []])
  })

  test('[DEL-18] that latches is told of, of its record, where there are no settings', () => {
    const { caches, looked, told } = newWatched()
    caches.brakes.put(record('bob'))
    caches.brakes.put(latched('ann'))
    expect([looked, told]).toEqual([[], ['ConfigMap brake-ann Warning BrakeLatched']])
  })
})

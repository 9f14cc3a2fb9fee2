import { expect, test } from 'vitest'
import { thing } from '../kube/testing.ts'
import { blocked, decided, done, waiting } from './outcome.ts'
import { World, type Scope, type Status } from './testing.ts'

const held = { finalizers: ['test'] }
const deleting = { ...held, deletionTimestamp: '2026-01-01T00:00:00Z' }
const finalizer = 'test'

test('a finalizer is stored before anything is done outside', async () => {
  const world = new World(thing('a', 1))
  await world.reconcile({ finalizer, phases: [world.phase('Made', done)] })
  expect(world.log).toEqual(['add finalizer', 'Made', 'write', 'Normal Ready'])
})

test('a field that is dropped goes', async () => {
  const world = new World({ ...thing('a', 1, held), status: { host: 'h', zone: 'z' } })
  const drop = world.phase('Made', ({ status }) => {
    delete status['zone']
    return done
  })
  await world.reconcile({ finalizer, phases: [drop] })
  expect(world.stored?.status).toMatchObject({ host: 'h' })
  expect(world.stored?.status).not.toHaveProperty('zone')
})

test('conditions that others wrote stay, and are no reason to write again', async () => {
  const theirs = {
    type: 'Theirs',
    status: 'False',
    reason: 'X',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const
  const world = new World({ ...thing('a', 1, held), status: { conditions: [theirs] } })
  const phases = [world.phase('Made', done)]
  await world.reconcile({ finalizer, phases })
  expect(world.stored?.status?.conditions?.map(({ type }) => type)).toEqual(['Ready', 'Made', 'Theirs'])
  await world.reconcile({ finalizer, phases })
  expect(world.log.filter((entry) => entry === 'write')).toEqual(['write'])
})

test('conditions of steps that are over with the deletion go', async () => {
  const world = new World(thing('a', 1, held))
  await world.reconcile({ finalizer, phases: [world.phase('Made', done)] })
  world.stored = { ...thing('a', 2, deleting), status: world.stored?.status ?? {} }
  const cleanup = [world.phase('Removed', waiting('Busy', 'It is busy'))]
  await world.reconcile({ finalizer, phases: [world.phase('Made', done)], cleanup })
  await world.clock.advance(2_000)
  await world.reconcile({ finalizer, phases: [world.phase('Made', done)], cleanup })
  expect(world.stored.status?.conditions?.map(({ type }) => type)).toEqual(['Ready', 'Removed'])
})

test('nothing is done for an object whose finalizer could not be stored', async () => {
  const world = new World(thing('a', 1))
  world.conflict = true
  await expect(world.reconcile({ finalizer, phases: [world.phase('Made', done)] })).rejects.toThrow('conflict')
  expect(world.log).toEqual(['add finalizer'])
})

test.each([
  ['is gone', undefined, finalizer],
  ['is deleted and no longer ours', thing('a', 1, { ...deleting, finalizers: ['other'] }), finalizer],
  ['is deleted and never had anything outside', thing('a', 1, deleting), undefined],
])('nothing is done for an object that %s', async (_name, object, name) => {
  const world = new World(object)
  const phases = [world.phase('Made', done)]
  const next = await world.reconcile({ ...(name !== undefined && { finalizer: name }), phases, cleanup: phases })
  expect([next, world.log]).toEqual([{}, []])
})

test('an object that is as it should be gets one write, and an idle reconcile none', async () => {
  const world = new World(thing('a', 1, held))
  const phases = [world.phase('A', done), world.phase('B', done)]
  await world.reconcile({ finalizer, phases })
  expect(world.log).toEqual(['A', 'B', 'write', 'Normal Ready'])
  expect(world.stored?.status).toEqual({
    observedGeneration: 1,
    conditions: ['Ready', 'A', 'B'].map((type) => ({
      type,
      status: 'True',
      reason: type,
      message: '',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    })),
  })
  await world.clock.advance(3_600_000)
  expect(await world.reconcile({ finalizer, phases, resyncMs: 60_000 })).toEqual({ retryAfterMs: 60_000 })
  expect(world.log.slice(4)).toEqual(['A', 'B'])
})

test('a decision is stored before it is acted on', async () => {
  const world = new World(thing('a', 1, held))
  const decide = world.phase('Decided', ({ status }) => {
    if ('host' in status) return done
    Object.assign(status, { host: 'h' })
    return decided
  })
  const act = world.phase('Acted', ({ status }) => {
    expect(world.stored?.status).toHaveProperty('host', 'h')
    expect(status).toHaveProperty('host', 'h')
    return done
  })
  await world.reconcile({ finalizer, phases: [decide, act] })
  expect(world.log).toEqual(['Decided', 'write', 'Decided', 'Acted', 'write', 'Normal Ready'])
})

test('a decision that could not be stored is not acted on', async () => {
  const world = new World(thing('a', 1, held))
  world.conflict = true
  const phases = [world.phase('Decided', decided), world.phase('Acted', done)]
  await expect(world.reconcile({ finalizer, phases })).rejects.toThrow('conflict')
  expect(world.log).toEqual(['Decided', 'write'])
})

test('a decision about an object that is ready does not make it seem not to be', async () => {
  const world = new World(thing('a', 1, held))
  let wanted = 1
  const decide = world.phase('Decided', ({ status }) => {
    if ('epoch' in status && status['epoch'] === wanted) return done
    Object.assign(status, { epoch: wanted })
    return decided
  })
  await world.reconcile({ finalizer, phases: [decide] })
  const before = world.stored?.status?.conditions
  world.log.length = 0
  wanted = 2
  await world.clock.advance(5_000)
  await world.reconcile({ finalizer, phases: [decide] })
  expect(world.log).toEqual(['Decided', 'write', 'Decided'])
  expect(world.stored?.status).toEqual({ observedGeneration: 1, conditions: before, epoch: 2 })
})

test('a phase that decides without end is stopped', async () => {
  const world = new World(thing('a', 1, held))
  let count = 0
  const decide = world.phase('Decided', ({ status }) => {
    Object.assign(status, { count: ++count })
    return decided
  })
  await expect(world.reconcile({ finalizer, phases: [decide] })).rejects.toThrow('more than 8 decisions')
})

test('a wait is told once it lasts a second, and one that is over before never is', async () => {
  const world = new World(thing('a', 1, held))
  const phases = [world.phase('Slow', waiting('Starting', 'It starts', 5_000))]
  expect(await world.reconcile({ finalizer, phases })).toEqual({ retryAfterMs: 1_000 })
  await world.clock.advance(400)
  expect(await world.reconcile({ finalizer, phases })).toEqual({ retryAfterMs: 600 })
  expect(world.ready()).toBeUndefined()
  await world.clock.advance(600)
  expect(await world.reconcile({ finalizer, phases })).toEqual({ retryAfterMs: 5_000 })
  expect(world.ready()).toBe('False Starting')

  await world.reconcile({ finalizer, phases: [world.phase('Slow', done)] })
  expect(world.ready()).toBe('True Ready')
  expect(world.waitingSince.size).toBe(0)
  await world.reconcile({ finalizer, phases })
  expect(world.ready()).toBe('True Ready')
  expect(world.log.filter((line) => line === 'write')).toHaveLength(2)
})

test('a wait that is told already is told at once when it has more to say elsewhere', async () => {
  const world = new World(thing('a', 1, held))
  const first = world.phase('A', waiting('Starting', 'It starts'))
  await world.reconcile({ finalizer, phases: [first] })
  await world.clock.advance(1_000)
  await world.reconcile({ finalizer, phases: [first] })
  world.waitingSince.clear() // The controller was restarted.
  const second = { ...world.phase('B', waiting('Slow', 'It is slow')), after: [] }
  await world.reconcile({ finalizer, phases: [first, second] })
  expect(world.stored?.status?.conditions?.map(({ type }) => type)).toEqual(['Ready', 'A', 'B'])
})

test('what only the user can help is one Warning, and is not looked at again', async () => {
  const world = new World(thing('a', 1, held))
  const phases = [world.phase('Image', blocked('NotFound', 'There is no image x: create it'))]
  const reconciler = { finalizer, phases, resyncMs: 60_000 }
  await world.reconcile(reconciler)
  await world.clock.advance(1_000)
  expect(await world.reconcile(reconciler)).toEqual({})
  expect(await world.reconcile(reconciler)).toEqual({})
  expect(world.log).toEqual(['Image', 'Image', 'write', 'Warning NotFound', 'Image'])
})

test('a phase that informs of a block warns, and the object is ready and looked at as ever', async () => {
  const world = new World(thing('a', 1, held))
  const informing = { ...world.phase('Applied', blocked('Fixed', 'Set it back')), informs: true as const }
  const reconciler = { finalizer, phases: [informing], resyncMs: 60_000 }
  expect(await world.reconcile(reconciler)).toEqual({ retryAfterMs: 60_000 })
  expect(world.ready()).toBe('True Ready')
  await world.reconcile(reconciler)
  expect(world.log).toEqual(['Applied', 'write', 'Warning Fixed', 'Normal Ready', 'Applied'])
})

test('what is unexpected is thrown for the log, and told without its text once it lasts', async () => {
  const world = new World(thing('a', 1, held))
  const phases = [world.phase('Made', new Error('hunter2'))]
  await expect(world.reconcile({ finalizer, phases })).rejects.toThrow('hunter2')
  expect(world.ready()).toBeUndefined()
  await world.clock.advance(1_000)
  await expect(world.reconcile({ finalizer, phases })).rejects.toThrow('hunter2')
  expect(world.ready()).toBe('Unknown InternalError')
  expect(JSON.stringify(world.stored)).not.toContain('hunter2')
  await expect(world.reconcile({ finalizer, phases })).rejects.toThrow('hunter2')
  expect(world.log).toEqual(['Made', 'Made', 'write', 'Made'])
})

test('an object that is deleted is let go when all is cleaned up, and not before', async () => {
  const world = new World(thing('a', 1, deleting))
  const made = world.phase('Made', done)
  const inUse = [world.phase('CleanedUp', waiting('InUse', 'It is in use', 2_000))]
  expect(await world.reconcile({ finalizer, phases: [made], cleanup: inUse })).toEqual({ retryAfterMs: 1_000 })
  await world.clock.advance(1_000)
  await world.reconcile({ finalizer, phases: [made], cleanup: inUse })
  expect([world.ready(), world.waitingSince.size]).toEqual(['False Deleting', 1])
  const cleanup = [world.phase('CleanedUp', done)]
  expect(await world.reconcile({ finalizer, phases: [made], cleanup })).toEqual({})
  expect(world.log).toEqual(['CleanedUp', 'CleanedUp', 'write', 'CleanedUp', 'remove finalizer'])
  expect([world.stored, world.waitingSince.size]).toEqual([undefined, 0])
})

test('an object with nothing to clean up is let go', async () => {
  const world = new World(thing('a', 1, deleting))
  await world.reconcile({ finalizer })
  expect(world.stored).toBeUndefined()
})

test('what another controller owns in a status is neither compared nor written', async () => {
  const status = { zone: 'theirs' }
  const world = new World({ ...thing('a', 1, held), status })
  const owned = (all: Status & { zone?: string }): Status => {
    const { zone: _, ...own } = all
    return own
  }
  const phases = [world.phase('A', (scope) => (Object.assign(scope.status, { zone: 'ours' }), done))]
  for (let i = 0; i < 2; i++) await world.reconcile({ finalizer, phases, owned })
  expect(world.stored?.status).toMatchObject({ ...status, observedGeneration: 1 })
  expect(world.log.filter((what) => what === 'write')).toHaveLength(1)
})

test('a status that follows from the rest is filled in before the write', async () => {
  const world = new World(thing('a', 1, held))
  const finish = ({ status }: Scope, { reason }: { reason: string }) =>
    void Object.assign(status, { printable: reason })
  await world.reconcile({ finalizer, phases: [world.phase('A', done)], finish })
  expect(world.stored?.status).toMatchObject({ printable: 'Ready' })
})

test('a reconcile leaves the object in the cache as it is', async () => {
  const object = thing('a', 1, held)
  const copy = structuredClone(object)
  const world = new World(object)
  world.conflict = true
  await world.reconcile({ finalizer, phases: [world.phase('A', done)] }).catch(() => undefined)
  expect(object).toEqual(copy)
})

test('details that go on changing are written ten times at once, and then once a second; what is news at once', async () => {
  let restarts = 0
  let isUp = true
  const world = new World(thing('a', 1))
  const flooded = {
    phases: [world.phase('Up', () => (isUp ? done : blocked('Down', 'It is down')))],
    finish: ({ status }: Scope) => void Object.assign(status, { restarts }),
  }
  const writes = () => world.log.filter((entry) => entry === 'write').length
  for (; restarts < 50; restarts++) await world.reconcile(flooded)
  expect(writes()).toBe(11)
  const { retryAfterMs } = await world.reconcile(flooded)
  expect(retryAfterMs).toBe(1_000)
  await world.clock.advance(1_000)
  await world.reconcile(flooded)
  expect(writes()).toBe(12)
  expect(world.stored?.status).toMatchObject({ restarts: 50 })

  restarts++
  isUp = false
  await world.reconcile(flooded)
  await world.clock.advance(1_000)
  await world.reconcile(flooded)
  expect(world.ready()).toBe('False Down')
})

import { describe, expect, test } from 'vitest'
import type { InspectedImage } from '../../agent/contract.ts'
import { AgentError } from '../../agent/errors.ts'

import { verified, World } from './testing.ts'

const missing: InspectedImage = { state: 'Refused', code: 'FileNotFound', message: 'There is no file: put it there' }
const outside: InspectedImage = {
  state: 'Refused',
  code: 'OutsideImportFolder',
  message: 'The file is outside: put it there',
}
const exchanged: InspectedImage = {
  state: 'Refused',
  code: 'ChecksumMismatch',
  message: 'It has another digest: copy it',
}
const broken: InspectedImage = { state: 'Refused', code: 'ImageTruncated', message: 'The file ends early: copy it' }

describe('Image', () => {
  test('is ready when a host has checked it: one status write and one event', async () => {
    const world = new World()
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status).toMatchObject({
      sha256: 'a'.repeat(64),
      size: '10Mi',
      virtualSize: '64Mi',
      hosts: ['host-a', 'host-b'],
    })
    expect([world.store.writes, world.store.events]).toEqual([1, ['Normal Ready']])
  })

  test('writes nothing while all is well, though its hosts are asked again', async () => {
    const world = new World()
    const { retryAfterMs } = await world.reconcile()
    expect(retryAfterMs).toBe(60_000)
    const { asked } = world.a
    await world.reconcile(3)
    expect([world.store.writes, world.a.asked]).toEqual([1, asked + 3])
  })

  test('that is larger than it may be is refused, and one that is in use is not', async () => {
    const world = new World()
    world.maxImageSize = '1Mi'
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'ImageTooLarge' })
    world.maxImageSize = '10Mi'
    await world.settle()
    world.maxImageSize = '1Mi'
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
  })

  test.each<[string, InspectedImage, RegExp]>([
    ['another one', exchanged, /^It has another digest: copy it \(host host-a\)$/],
    ['a link out of the folder', outside, /^The file is outside: put it there \(host host-a\)$/],
    ['no file', missing, /^There is no file: put it there \(host host-a\)$/],
    ['a broken one', broken, /^The file ends early: copy it \(host host-a\)$/],
  ])('whose file became %s is used from where it is left, then not at all', async (_name, other, message) => {
    const world = new World()
    await world.reconcile()
    world.a.image = other
    await world.reconcile()
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })

    world.b.image = other
    await world.settle()
    expect(world.store.stored?.status?.hosts).toEqual([])
    expect(world.store.condition('Verified')).toMatchObject({
      status: 'False',
      message: expect.stringMatching(message),
    })
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)

    Object.assign(world.a, { image: verified('a') })
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status?.hosts).toEqual(['host-a'])
  })

  test.each<[string, (world: World) => unknown]>([
    ['read it anew', (world) => (world.a.image = { state: 'Checking' })],
    ['cannot look', (world) => (world.a.image = { state: 'Refused', code: 'CheckFailed', message: 'no qemu-img' })],
    ['fail', (world) => (world.a.fault = new AgentError('INTERNAL', 'the agent failed; see its log'))],
  ])('stays ready while hosts that have it %s', async (_name, spoil) => {
    const world = new World()
    world.hosts = [world.a]
    await world.reconcile()
    spoil(world)
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.writes).toBe(1)
  })

  test('mends a status whose sizes somebody else wrote', async () => {
    const world = new World()
    await world.reconcile()
    world.store.change(({ status }) => void Object.assign(status ?? {}, { size: '1Gi', virtualSize: '1e400' }))
    await world.reconcile()
    expect(world.store.stored?.status).toMatchObject({ size: '10Mi', virtualSize: '64Mi' })
  })

  test.each<[string, InspectedImage, InspectedImage, string]>([
    ['is missing everywhere', missing, missing, 'There is no file: put it there (host host-a)'],
    ['is broken where it is', missing, broken, 'The file ends early: copy it (host host-b)'],
  ])('whose file %s says what to do, and finds the right one later by itself', async (_name, a, b, message) => {
    const world = new World()
    Object.assign(world.a, { image: a })
    Object.assign(world.b, { image: b })
    const { retryAfterMs } = await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', message })
    expect(retryAfterMs).toBe(10_000)
    const { writes } = world.store
    await world.reconcile(3)
    expect(world.store.writes).toBe(writes)

    world.b.image = verified('b')
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
  })

  test('asks a host that lacks the file again from time to time', async () => {
    const world = new World()
    world.b.image = missing
    const { retryAfterMs } = await world.reconcile()
    expect(retryAfterMs).toBe(60_000)
    world.b.image = verified('a')
    await world.reconcile()
    expect(world.store.stored?.status?.hosts).toEqual(['host-a', 'host-b'])
  })

  test('waits while it is checked', async () => {
    const world = new World()
    for (const host of world.hosts) host.image = { state: 'Checking' }
    const { retryAfterMs } = await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'Checking' })
    expect(retryAfterMs).toBe(5_000)
  })

  test.each<[string, InspectedImage]>([
    ['without a checksum', verified('b')],
    ['with one', { state: 'Refused', code: 'ChecksumMismatch', message: 'another digest' }],
  ])('that is another file on another host is used from the first only, and says so: %s', async (_name, other) => {
    const world = new World()
    world.hosts = [world.b, world.a] // Their order here must not matter.
    world.b.image = other
    await world.reconcile()
    expect(world.store.stored?.status).toMatchObject({ sha256: 'a'.repeat(64), hosts: ['host-a'] })
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.condition('SameOnAllHosts')).toMatchObject({
      status: 'False',
      reason: 'FilesDiffer',
      message: `The file differs on host-b: put the one with SHA-256 ${'a'.repeat(64)} there`,
    })
    await world.reconcile(3)
    expect(world.store.writes).toBe(1)

    world.b.image = verified('a')
    await world.reconcile()
    expect(world.store.condition('SameOnAllHosts')).toMatchObject({ status: 'True' })
  })

  test('is ready where it can be checked, though another host fails', async () => {
    const world = new World()
    world.a.fault = new AgentError('INTERNAL', 'the agent failed; see its log')
    await world.reconcile()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'True' })
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
  })

  test.each<[string, (world: World) => unknown]>([
    ['there is none', (world) => world.hosts.splice(0)],
    ['none is connected', (world) => world.hosts.forEach((host) => (host.state = 'Unreachable'))],
    ['none answers', (world) => world.hosts.forEach((host) => (host.fault = new AgentError('UNREACHABLE', 'no')))],
  ])('is unknown while no host can tell: %s', async (_name, spoil) => {
    const world = new World()
    spoil(world)
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'Unknown', reason: 'NoHostReachable' })
  })

  test('stays ready when a host that has it goes away', async () => {
    const world = new World()
    await world.reconcile()
    world.a.state = 'Unreachable'
    await world.reconcile()
    expect(world.store.writes).toBe(1)
  })

  test('of one host is looked for there only, and blocked without that host', async () => {
    const world = new World({ source: { file: { path: 'debian.qcow2', host: 'host-b' } } })
    world.hosts = [world.a]
    await world.settle()
    expect(world.store.condition('Ready')).toMatchObject({ status: 'False', reason: 'HostNotFound' })
    expect(world.store.events).toEqual(['Warning HostNotFound'])
    world.hosts = [world.a, world.b]
    await world.reconcile()
    expect(world.store.stored?.status?.hosts).toEqual(['host-b'])
    expect(world.a.asked).toBe(0)
  })
})

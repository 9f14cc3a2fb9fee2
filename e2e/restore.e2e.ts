import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { openDisks } from './testing/invariants.ts'
import { dataStorage, disk, host, machine, platformSettings } from './testing/manifests.ts'
import {
  condition,
  eventually,
  isReady,
  newPlatform,
  qemus,
  run,
  type Found,
  type Platform,
  type Result,
  killProcess,
} from './testing/platform.ts'
import { act, binned } from './testing/recycle-bin.ts'
import { startAgent, type SecondAgent } from './testing/second-agent.ts'

const onFirst = { placement: { host: 'host-1' }, terminationGracePeriodSeconds: 0 }
const wandering = [{ diskRef: { name: 'wanders' } }]
const giver = machine('giver', { ...onFirst, runStrategy: 'Halted', disks: wandering })
const giverSince = machine('giver', onFirst)
const taker = (has: boolean) => machine('taker', { ...onFirst, ...(has && { disks: wandering }) })
/** Goes to the bin and comes back as `renamed`, where every other machine here is destroyed at once. */
const named = machine('named', { ...onFirst, deletionPolicy: 'Delayed' })
const orphans = z.array(z.looseObject({ name: z.string(), machineId: z.string(), state: z.string() }))

/** A VirtualMachine and its process at one time. */
interface Seen {
  readonly machineId: string
  readonly pid: number
  readonly host: string
  readonly file: string
}

describe('A platform restored from an older state', () => {
  let platform: Platform
  let second: SecondAgent
  let file: string
  /** Before the backup. */
  const before = new Map<string, Seen>()
  /** Just before the restore. */
  const after = new Map<string, Seen>()
  let running: Awaited<ReturnType<typeof qemus>>
  let restored: Result
  let starting: Promise<Result> | undefined

  const see = async (name: string): Promise<Seen> => {
    const { status } = await ready(name)
    const { machineId = '', host: on = '' } = status ?? {}
    const root = await platform.get('disks', String(status?.['rootDisk']))
    return { machineId, host: on, pid: await pidOf(machineId), file: root?.status?.id ?? '' }
  }
  const pidOf = async (machineId: string): Promise<number> => {
    const [only, ...more] = (await qemus(platform)).filter((one) => one.machineId === machineId)
    if (!only || more.length > 0) throw new Error(`machine ${machineId} has ${more.length} processes too many, or none`)
    return only.pid
  }
  const ready = async (name: string): Promise<Found> =>
    eventually(async () => {
      const vm = await platform.get('virtualmachines', name)
      return isReady(vm) && vm
    })
  const refusal = async (name: string, reason: string) =>
    eventually(async () => {
      const found = condition(await platform.get('virtualmachines', name))
      return found?.reason === reason && found
    })
  const idOf = (name: string) => after.get(name)?.machineId ?? 'of none'
  const orphansOf = async (name: string) =>
    orphans.parse((await platform.get('hosts', name))?.status?.['orphans'] ?? [])
  const holderOf = async (name: string) => {
    const found = await platform.get('disks', name)
    return z.looseObject({ virtualMachine: z.string() }).optional().parse(found?.status?.['attachedTo'])?.virtualMachine
  }
  const openedBy = async (name: string) => {
    const vm = await platform.get('virtualmachines', name)
    return openDisks(await pidOf(vm?.status?.machineId ?? ''))
  }
  const remove = async (...names: string[]) => platform.kubectl('delete', 'hfvm', ...names, '--timeout=60s')

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.mustStart()
    second = await startAgent(platform, 'host-2')
    await platform.apply(host('host-2', second.port), dataStorage('local-2', 'host-2', second.storage))
    await eventually(async () => {
      const image = await platform.get('images', 'holdfast-guest')
      return String(image?.status?.['hosts']).includes('host-2')
    })
    const on = (at: string) => ({ ...onFirst, placement: { host: at } })
    // The bin of today is not in the backup either: what is deleted since then is to be gone.
    const deletion = { virtualMachine: { policy: 'Immediate', confirmation: 'None' } }
    await platform.apply(platformSettings({ deletion }))
    // The disk of d outlives it, so that the d of the backup could start.
    const rootDisk = { diskRef: { name: 'of-d' } }
    const source = { image: { name: 'holdfast-guest' } }
    await platform.apply(disk('of-d', { size: '256Mi', source, dataStorage: 'local' }), machine('b', on('host-1')))
    await platform.apply(machine('off', { ...on('host-1'), runStrategy: 'Halted' }))
    await platform.apply(machine('d', { ...on('host-1'), rootDisk }))
    await platform.apply(disk('wanders', { dataStorage: 'local' }), giver, taker(false), named)
    for (const name of ['hello', 'b', 'd', 'taker', 'named']) before.set(name, await see(name))
    for (const name of ['off', 'giver']) await ready(name)

    file = join(platform.home, 'monday.backup')
    await succeed(platform.local('backup', file))

    // Since then: b and off are deleted, c is made, d is made anew on the other host, giver is started and gives a
    // disk to taker, which runs, named is renamed by way of the bin, and nothing happens to hello.
    await succeed(remove('b', 'd', 'off', 'named'))
    const recoverAs = { namespace: 'default', name: 'renamed' }
    await act(platform, await binned(platform, 'VirtualMachine', 'named'), { action: 'Recover', recoverAs })
    await platform.apply(machine('c', on('host-2')), machine('d', on('host-2')), giverSince)
    await eventually(async () => holderOf('wanders').then((holder) => holder === undefined))
    await platform.apply(taker(true))
    await eventually(async () => (await openedBy('taker')).length === 2)
    for (const name of ['hello', 'c', 'd', 'giver', 'renamed']) after.set(name, await see(name))
    running = await qemus(platform)

    await succeed(platform.local('stop', '--keep-guests'))
    restored = await succeed(platform.local('restore', file))
    await platform.forget()
    // It says that it is ready only after it has waited for what lacks its disk. Nobody here need wait for that.
    starting = succeed(platform.start())
    await eventually(async () => {
      try {
        return (await platform.list('hosts')).length > 0
      } catch {
        return false // The API server is being started.
      }
    })
  }, 300_000)
  afterAll(async () => {
    await starting
    for (const { pid } of await qemus(platform)) killProcess(pid)
    await second[Symbol.asyncDispose]()
    await platform[Symbol.asyncDispose]()
  }, 120_000)

  test('says what it did, and what is next', async () => {
    expect((await stat(file)).mode % 0o1000).toBe(0o600)
    expect(restored.stdout).toContain(`Restored ${platform.home} to `)
    expect(restored.stdout).toContain('Guests that run now are left as they are')
    expect(restored.stdout).toContain('npm start -- --detach')
    const aside = (await readdir(platform.home)).find((name) => name.startsWith('before-restore-'))
    expect(await readdir(join(platform.home, aside ?? ''))).toEqual(expect.arrayContaining(['etcd', 'pki']))
  })

  test('runs nothing twice, kills nothing, and shows everything unknown as an orphan with an event', async () => {
    const found = await eventually(async () => {
      const list = await orphansOf('host-2')
      return list.length === 2 && list
    })
    expect(found).toMatchObject([
      { name: 'default/c', machineId: after.get('c')?.machineId, state: 'Running' },
      { name: 'default/d', machineId: after.get('d')?.machineId, state: 'Running' },
    ])
    const { machineId } = before.get('named') ?? {}
    const renamed = await eventually(async () => {
      const list = await orphansOf('host-1')
      return list.length > 0 && list
    })
    expect(renamed).toMatchObject([{ name: 'default/renamed', machineId, state: 'Running' }])
    const told = await eventually(async () => {
      const events = (await platform.list('events')).filter(({ reason }) => reason === 'OrphanFound')
      return events.length === 3 && events
    })
    const notes = told.map(({ note }) => String(note))
    for (const name of ['c', 'd', 'renamed']) expect(notes.some((note) => note.includes(idOf(name)))).toBe(true)
    // The process of hello is the same, and those of c and of the new d are those that they were. No other one began.
    expect(await see('hello')).toEqual(before.get('hello'))
    expect(await qemus(platform)).toEqual(running)
    const { stdout } = await run('kubectl', ['--kubeconfig', platform.kubeconfig, 'get', 'hfhost'], process.env)
    expect(stdout).toMatch(/ORPHANS/)
  })

  test('says that the disk of b is gone, and gives it no empty one', async () => {
    const told = await refusal('b', 'DiskNotFound')
    const { machineId = '', file: id = '' } = before.get('b') ?? {}
    await eventually(async () => condition(await platform.get('disks', 'b-root'))?.reason === 'FileMissing')
    expect(told.message).toContain(`There is no disk ${id} on DataStorage local`)
    expect(await readdir(join(platform.home, 'storage', 'disks'))).not.toContain(`${id}.qcow2`)
    expect((await qemus(platform)).map((one) => one.machineId)).not.toContain(machineId)
  })

  test('says so of a machine too that was off, though nothing is to be started', async () => {
    expect(await refusal('off', 'DiskNotFound')).toMatchObject({ status: 'False' })
    await eventually(async () => condition(await platform.get('disks', 'off-root'))?.reason === 'FileMissing')
  })

  test('does not start the old d beside the new one, though its disk is there', async () => {
    const told = await refusal('d', 'OrphanOfName')
    expect(told.message).toContain(`Host host-2 has an orphan of this name (machine ${idOf('d')})`)
    const { machineId, file: id = '' } = before.get('d') ?? {}
    expect(await readdir(join(platform.home, 'storage', 'disks'))).toContain(`${id}.qcow2`)
    expect((await qemus(platform)).map((one) => one.machineId)).not.toContain(machineId)
  })

  test('lets a guest run on that was started since, with the disks that it has, and says how to settle that', async () => {
    const { pid, file: root = '', machineId } = before.get('taker') ?? {}
    const { id = '' } = (await platform.get('disks', 'wanders'))?.status ?? {}
    // It names a disk too that another one has by now.
    expect((await refusal('giver', 'DiskInUse')).message).toContain(`Machine ${machineId} of the host has Disk wanders`)
    const since = condition(await platform.get('virtualmachines', 'giver'), 'PowerStateReached')
    expect([since?.reason, since?.message]).toEqual([
      'StartedSince',
      expect.stringContaining('set runStrategy to Always'),
    ])
    const kept = await eventually(async () => {
      const found = condition(await platform.get('virtualmachines', 'taker'), 'SpecApplied')
      return found?.reason === 'DiskInUse' && found
    })
    expect(kept.message).toContain('The guest has Disk wanders, which spec.disks does not name')
    const both = [root, id].toSorted()
    expect((await openedBy('taker')).toSorted()).toEqual(both)

    await eventually(async () =>
      String((await platform.get('virtualmachines', 'taker'))?.status?.['unnamedDisks']).includes('wanders'),
    )
    const wanders = await eventually(async () => {
      const found = await platform.get('disks', 'wanders')
      return condition(found)?.reason === 'InUse' && found
    })
    expect(wanders.status?.['heldBy']).toEqual({ machineId, name: 'default/taker' })
    expect(await platform.kubectl('delete', 'hfdisk', 'wanders', '--wait=false')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('default/taker'),
    })

    await platform.apply(giverSince, taker(true))
    expect(await see('giver')).toEqual(after.get('giver'))
    await eventually(async () => (await holderOf('wanders')) === 'taker')
    expect((await openedBy('taker')).toSorted()).toEqual(both)
    expect(await see('taker')).toMatchObject({ pid })
    await eventually(
      async () => condition(await platform.get('virtualmachines', 'taker'), 'SpecApplied')?.status === 'True',
    )
  })

  test('gives a guest back that was renamed since, with its disk, once the machine of its old name is let go', async () => {
    const { machineId = '', file: root } = before.get('named') ?? {}
    expect((await refusal('named', 'IdentityTaken')).message).toContain(
      `apply default/renamed with spec.adopt.machineId ${machineId}`,
    )
    await succeed(platform.kubectl('delete', 'hfvm', 'named', '--wait=false'))
    await succeed(platform.kubectl('patch', 'hfvm', 'named', '--type=merge', '-p={"metadata":{"finalizers":null}}'))
    const rootDisk = { diskRef: { name: 'named-root' } }
    await platform.apply(machine('renamed', { ...onFirst, rootDisk, adopt: { machineId } }))
    expect(await see('renamed')).toEqual({ ...after.get('renamed'), file: root })
    await eventually(async () => (await orphansOf('host-1')).length === 0)
    expect(await qemus(platform)).toEqual(running)
  })

  test('gives c back to a manifest, as it runs', async () => {
    const { machineId = '' } = after.get('c') ?? {}
    const other = { name: 'c', namespace: 'kube-public' }
    await platform.apply({ ...machine('c', { adopt: { machineId } }), metadata: other })
    await eventually(async () => {
      const vm = (await platform.list('virtualmachines')).find(
        ({ metadata }) => metadata['namespace'] === other.namespace,
      )
      return condition(vm)?.reason === 'AdoptionRefused'
    })
    await platform.kubectl('delete', 'hfvm', 'c', '--namespace', other.namespace, '--timeout=60s')

    await platform.apply(machine('c', { adopt: { machineId } }))
    expect(await see('c')).toEqual(after.get('c'))
    await eventually(async () => (await orphansOf('host-2')).length === 1)
    expect(await qemus(platform)).toEqual(running)
  })

  test('gives the new d back once the restored one is deleted, and d then ends for good', async () => {
    await succeed(remove('d'))
    await platform.apply(
      machine('d', { terminationGracePeriodSeconds: 0, adopt: { machineId: after.get('d')?.machineId } }),
    )
    expect(await see('d')).toEqual(after.get('d'))
    expect(await qemus(platform)).toEqual(running)
    await eventually(async () => (await orphansOf('host-2')).length === 0)
    await succeed(remove('d'))
    expect((await qemus(platform)).map((one) => one.machineId)).not.toContain(after.get('d')?.machineId)
  })

  test('refuses to be restored while it runs, and from what is no backup', async () => {
    await starting
    const whileRunning = await platform.local('restore', file)
    expect([whileRunning.code, whileRunning.stderr]).toEqual([1, expect.stringContaining('npm stop -- --keep-guests')])
    const other = join(platform.home, 'other')
    await writeFile(other, 'something else')
    const again = await platform.local('backup', other)
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists already: name another file')])
  })
})

async function succeed(result: Promise<Result>): Promise<Result> {
  const { code, stderr } = await result
  if (code !== 0) throw new Error(stderr)
  return result
}

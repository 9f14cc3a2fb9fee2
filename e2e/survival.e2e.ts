import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  condition,
  eventually,
  isReady,
  newPlatform,
  qemus,
  run,
  type Platform,
  killProcess,
  SHORT_MS,
} from './testing/platform.ts'
import { machine } from './testing/manifests.ts'

describe('Holdfast under kill -9', () => {
  let platform: Platform

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.mustStart()
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  test('the agent: the same QEMU process goes on, and is adopted within 10 s', async () => {
    const before = await qemus(platform)
    const boots = (await platform.serialLog('hello')).match(/booted/g)?.length
    const agent = await platform.pid('agent')
    process.kill(agent, 'SIGKILL')
    const killedAt = performance.now()
    await eventually(async () => (await platform.pid('agent').catch(() => agent)) !== agent, 10_000)
    await eventually(
      async () => isReady(await platform.get('hosts', 'host-1')),
      10_000 - (performance.now() - killedAt),
    )

    // The adopted machine obeys: it stops when it is told to, and that was the same process all the time.
    expect(await qemus(platform)).toEqual(before)
    expect((await platform.serialLog('hello')).match(/booted/g)?.length).toBe(boots)
    await platform.kubectl('patch', 'hfvm', 'hello', '--type=merge', '--patch={"spec":{"runStrategy":"Halted"}}')
    await eventually(async () => (await qemus(platform)).length === 0)
    await platform.kubectl('patch', 'hfvm', 'hello', '--type=merge', '--patch={"spec":{"runStrategy":"Always"}}')
    await eventually(async () => (await qemus(platform)).length === 1)
    await platform.ready('virtualmachines', 'hello', SHORT_MS)
  })

  test('QEMU: the machine is started again', async () => {
    const [before] = await qemus(platform)
    const boots = async () => (await platform.serialLog('hello')).match(/booted/g)?.length ?? 0
    const bootsBefore = await boots()
    killProcess(before?.pid)
    const after = await eventually(async () => {
      const [now] = await qemus(platform)
      return now && now.pid !== before?.pid && now
    })
    expect(after.machineId).toBe(before?.machineId)
    // Ready alone may still be that of the process before.
    await eventually(async () => (await boots()) > bootsBefore)
    await platform.ready('virtualmachines', 'hello', SHORT_MS)
  })

  test('QEMU that hangs: the machine says so, nothing is started beside it, and it goes on', async () => {
    const [frozen] = await qemus(platform)
    if (!frozen) throw new Error('there is no QEMU')
    const ready = async () => condition(await platform.get('virtualmachines', 'hello'), 'Ready')
    process.kill(frozen.pid, 'SIGSTOP')
    try {
      await eventually(async () => (await ready())?.reason === 'MonitorSilent', 15_000)
      expect(await ready()).toMatchObject({ status: 'False' })
      expect(await qemus(platform)).toEqual([frozen])
    } finally {
      process.kill(frozen.pid, 'SIGCONT')
    }
    await eventually(async () => (await ready())?.status === 'True', 15_000)
    expect(await qemus(platform)).toEqual([frozen])
  })

  test.each([0, 15, 40, 100])('the controllers, %i ms into a create: one QEMU, one set of disks', async (delayMs) => {
    const name = `killed-${delayMs}`
    const controllers = await platform.pid('controllers')
    await platform.apply(machine(name))
    await sleep(delayMs)
    process.kill(controllers, 'SIGKILL')
    const ready = await eventually(async () => {
      const vm = await platform.get('virtualmachines', name)
      return isReady(vm) && vm
    })
    const running = (await qemus(platform)).filter(({ machineId }) => machineId === ready.status?.machineId)
    expect(running).toHaveLength(1)
    const disks = (await platform.list('disks')).filter(({ metadata }) => metadata.name.startsWith(name))
    expect(disks.map(({ metadata }) => metadata.name)).toEqual([`${name}-root`])
    await platform.kubectl('delete', 'hfvm', name, '--timeout=60s')
    await eventually(async () => (await platform.get('disks', `${name}-root`)) === undefined)
    expect((await qemus(platform)).some(({ machineId }) => machineId === ready.status?.machineId)).toBe(false)
  })

  test.skipIf(process.getuid?.() !== 0)(
    'a full disk: nothing ends, status tells, and stop shuts the guests down',
    async () => {
      await using small = await newPlatform()
      const mount = await run(
        'mount',
        ['-t', 'tmpfs', '-o', 'size=400m,mode=711', 'holdfast-test', small.home],
        process.env,
      )
      expect(mount.code).toBe(0)
      try {
        await small.mustStart()
        const [before] = await qemus(small)
        await run('dd', ['if=/dev/zero', `of=${join(small.home, 'fill')}`, 'bs=1M'], process.env)
        const [supervisor, agent] = [await small.pid('supervisor'), await small.pid('agent')]
        process.kill(agent, 'SIGKILL')
        await eventually(async () => (await small.local('status')).code === 1)
        expect(await small.pid('supervisor')).toBe(supervisor)
        expect(await qemus(small)).toEqual([before])
        expect(await small.local('stop')).toMatchObject({ code: 0 })
        expect(await qemus(small)).toEqual([])

        await rm(join(small.home, 'fill'))
        for (const name of ['lock', 'platform.json', 'port']) await writeFile(join(small.home, name), 'garbage')
        expect(await small.start()).toMatchObject({ code: 0 })
        await writeFile(join(small.home, 'platform.json'), 'garbage')
        expect(await small.local('status')).toMatchObject({ code: 0 })
        expect(await small.start()).toMatchObject({ code: 1, stderr: expect.stringContaining('already runs') })
        expect(await small.local('stop')).toMatchObject({ code: 0 })
      } finally {
        await small.local('stop')
        await run('umount', [small.home], process.env)
      }
    },
  )

  test('the supervisor: guests run on, stop says so, and the next start takes them over', async () => {
    const before = await qemus(platform)
    process.kill(await platform.pid('supervisor'), 'SIGKILL')
    await eventually(async () => (await platform.local('status')).code === 3)
    expect(await platform.local('stop')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('left guests running'),
    })
    expect(await qemus(platform)).toEqual(before)

    // A start that comes to nothing ends nothing either.
    const squatter = createServer().listen(Number(await readFile(join(platform.home, 'port'), 'utf8')), '127.0.0.1')
    await once(squatter, 'listening')
    expect(await platform.start()).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('guests are left running'),
    })
    squatter.close()
    expect(await qemus(platform)).toEqual(before)

    expect(await platform.start()).toMatchObject({ code: 0 })
    expect(await qemus(platform)).toEqual(before)
    expect(condition(await platform.get('virtualmachines', 'hello'))).toMatchObject({ status: 'True' })
  })
})

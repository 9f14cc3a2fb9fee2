import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { condition, eventually, isReady, newPlatform, qemus, type Platform } from './testing/platform.ts'
import { machine } from './testing/manifests.ts'

describe('Holdfast under kill -9', () => {
  let platform: Platform

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.start()
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
    await eventually(async () => isReady(await platform.get('virtualmachines', 'hello')))
  })

  test('QEMU: the machine is started again', async () => {
    const [before] = await qemus(platform)
    process.kill(before?.pid ?? 0, 'SIGKILL')
    const after = await eventually(async () => {
      const [now] = await qemus(platform)
      return now && now.pid !== before?.pid && now
    })
    expect(after.machineId).toBe(before?.machineId)
    await eventually(async () => isReady(await platform.get('virtualmachines', 'hello')))
  })

  test.each([0, 5, 15, 30, 60, 120, 250])(
    'the controllers, %i ms into a create: one QEMU, one set of disks',
    async (delayMs) => {
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

    expect(await platform.start()).toMatchObject({ code: 0 })
    expect(await qemus(platform)).toEqual(before)
    expect(condition(await platform.get('virtualmachines', 'hello'))).toMatchObject({ status: 'True' })
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { machine } from './testing/manifests.ts'
import { eventually, isReady, newPlatform, qemus, type Platform, type Result } from './testing/platform.ts'

const HOSTS = 5
const MACHINES = 40

describe('npm start -- --simulated-hosts', () => {
  let platform: Platform
  let started: Result

  beforeAll(async () => {
    platform = await newPlatform()
    started = await platform.start('--simulated-hosts', String(HOSTS), '--start-delay', '200')
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  test('has that many hosts, no machine and no QEMU', async () => {
    expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining(`${HOSTS} simulated hosts`) })
    const hosts = await platform.list('hosts')
    expect(hosts.map(isReady)).toEqual(Array.from({ length: HOSTS }, () => true))
    expect(await platform.list('virtualmachines')).toEqual([])
  })

  test('runs machines in name, spread over the hosts, and forgets them when they are deleted', async () => {
    await platform.apply(...Array.from({ length: MACHINES }, (_, index) => machine(`vm-${index}`)))
    await eventually(async () => (await platform.list('virtualmachines')).filter(isReady).length === MACHINES)
    const machines = await platform.list('virtualmachines')
    expect(new Set(machines.map(({ status }) => status?.host)).size).toBe(HOSTS)
    expect(machines.map(({ status }) => status?.printableStatus)).toEqual(machines.map(() => 'Running'))
    expect(await qemus(platform)).toEqual([])

    await platform.kubectl('delete', 'hfvm', '--all', '--wait=false')
    await eventually(async () => (await platform.list('virtualmachines')).length === 0)
    await eventually(async () => (await platform.list('disks')).length === 0)
  })

  test('is another platform than one with real hosts, which is not started on top of it', async () => {
    expect((await platform.local('stop')).code).toBe(0)
    const real = await platform.start()
    expect(real).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('--simulated-hosts NUMBER, or set HOLDFAST_HOME'),
    })
  })

  test.each([
    [['--simulated-hosts', '0'], '--simulated-hosts 0 is not possible: write a number from 1 to 500'],
    [['--start-delay', '5'], 'name their number with --simulated-hosts too'],
  ])('refuses %j', async (options, message) => {
    expect(await platform.start(...options)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
  })
})

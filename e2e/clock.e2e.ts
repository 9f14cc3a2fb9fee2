import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { canSetClock, newClock, type SettableClock } from '../lib/testing-clock.ts'
import { ControllersProcess } from './testing/controllers-process.ts'
import { machine } from './testing/manifests.ts'
import { eventually, isReady, newPlatform, qemus, type Platform, SHORT_MS } from './testing/platform.ts'

/** In this time a lease that is not renewed would be lost. */
const LEASE_MS = 12_000
const lease = z.object({ spec: z.object({ holderIdentity: z.string(), leaseTransitions: z.int() }) })

describe.skipIf(!(await canSetClock()))('Clock of the controllers that jumps a day', () => {
  let platform: Platform
  let controllers: ControllersProcess
  let clock: SettableClock

  const holder = async () => {
    const { stdout } = await platform.kubectl('get', 'lease', 'holdfast-controllers', '-nholdfast-system', '-ojson')
    return lease.parse(JSON.parse(stdout)).spec
  }

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.start()
    // Its own ones lead no more.
    const before = await holder()
    process.kill(await platform.pid('controllers'), 'SIGSTOP')
    clock = await newClock(join(platform.home, 'clock'))
    const kubeconfig = join(platform.home, 'pki', 'kubernetes', 'holdfast-controllers.kubeconfig')
    controllers = new ControllersProcess({ home: platform.home, kubeconfig, name: 'controllers-clock', env: clock.env })
    await controllers.start()
    await eventually(async () => (await holder()).leaseTransitions > before.leaseTransitions)
  }, 300_000)
  afterAll(async () => {
    await controllers.kill()
    await platform[Symbol.asyncDispose]()
  }, 120_000)

  test('ahead and back ends no guest and no leadership, and machines come and go as before', async () => {
    const beganMs = performance.now()
    const before = { guests: await qemus(platform), leader: await holder() }
    for (const [jump, name] of [
      ['+1d', 'ahead'],
      ['-1d', 'back'],
    ] as const) {
      await clock.set(jump)
      await platform.apply(machine(name, { terminationGracePeriodSeconds: 0 }))
      await platform.ready('virtualmachines', name, SHORT_MS)
      await platform.kubectl('delete', 'hfvm', name, '--timeout=60s')
    }
    await sleep(LEASE_MS - (performance.now() - beganMs))
    expect(await holder()).toEqual(before.leader)
    expect(await qemus(platform)).toEqual(before.guests)
    expect(isReady(await platform.get('virtualmachines', 'hello'))).toBe(true)
    expect(isReady(await platform.get('hosts', 'host-1'))).toBe(true)
  })
})

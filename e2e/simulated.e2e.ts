import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeBrakes } from './brakes.suite.ts'
import { describeDeletionCrowd } from './deletion-crowd.suite.ts'
import { describeDeletionPaths } from './deletion-paths.suite.ts'
import { describeSimulatedHosts } from './simulated-hosts.suite.ts'
import { image, machine } from './testing/manifests.ts'
import { eventually, isReady, newPlatform, type Result } from './testing/platform.ts'

const HOSTS = 3

// A platform takes longer to start than most tests take: these have one together.
const platform = await newPlatform({ env: { KUBECTL_APPLYSET: 'true' } })

let started: Result

beforeAll(async () => {
  started = await platform.start('--simulated-hosts', String(HOSTS), '--start-delay', '50')
}, 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

test('npm start -- --simulated-hosts says how many it has', () => {
  expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining(`${HOSTS} simulated hosts`) })
})

describeSimulatedHosts(platform, HOSTS)
describeBrakes(platform)
describeDeletionPaths(platform)
describeDeletionCrowd(platform)

describe('A platform of simulated hosts', () => {
  test('is another platform than one with real hosts, which is not started on top of it', async () => {
    await platform.apply(image('holdfast-guest', 'holdfast-guest.qcow2'), machine('lasting'))
    await eventually(async () => {
      return isReady((await platform.list('virtualmachines')).find(({ metadata }) => metadata.name === 'lasting'))
    })
    expect((await platform.local('stop')).code).toBe(0)
    const real = await platform.start()
    expect(real).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('--simulated-hosts NUMBER, or set HOLDFAST_HOME'),
    })
  })

  test('is not started with fewer hosts than it has, and with more it is', async () => {
    expect(await platform.start('--simulated-hosts', String(HOSTS - 1))).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`start it with --simulated-hosts ${HOSTS} or more`),
    })
    expect(await platform.start('--simulated-hosts', String(HOSTS + 1))).toMatchObject({
      code: 0,
      stdout: expect.not.stringContaining('it is said to run'),
    })
    expect((await platform.list('hosts')).map(isReady)).toEqual(Array.from({ length: HOSTS + 1 }, () => true))
  })

  test.each([
    [['--simulated-hosts', '0'], '--simulated-hosts 0 is not possible: write a number from 1 to 500'],
    [['--start-delay', '5'], 'name their number with --simulated-hosts too'],
  ])('refuses %j', async (options, message) => {
    expect(await platform.start(...options)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
  })
})

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Passing } from '../lib/testing/fault-proxy.ts'
import { machine } from './testing/manifests.ts'
import { eventually, isReady, qemus, type Platform, SHORT_MS } from './testing/platform.ts'
import { HOST, UnderTest } from './testing/under-test.ts'

/** Long enough for the leader to give its lease up. */
const AWAY_MS = Number(process.env['HOLDFAST_AWAY_SECONDS'] ?? 12) * 1000
const ACTED_ON_MS = 5_000
/** A second for kubectl and for looking. */
const LOOK_MS = 1_000
const AFTERMATH_MS = 2_000

describe(`The API server is away for ${AWAY_MS / 1000} s`, () => {
  let underTest: UnderTest

  beforeAll(async () => {
    underTest = await UnderTest.start()
    await underTest.platform.apply(machine('before', { placement: { host: HOST } }))
    await eventually(async () => isReady(await underTest.platform.get('virtualmachines', 'before')))
  }, 300_000)
  afterAll(async () => underTest[Symbol.asyncDispose](), 180_000)

  const ways: [string, (server: number) => void, (server: number) => void | Promise<void>][] = [
    ['frozen', (server) => void process.kill(server, 'SIGSTOP'), (server) => void process.kill(server, 'SIGCONT')],
    [
      'behind a black hole, in which connections die',
      () => underTest.api.wire.freeze(),
      () => {
        underTest.api.wire.cut()
        underTest.api.wire.thaw()
      },
    ],
    ['not there: connections are refused', () => underTest.api.wire.refuse(), () => underTest.api.wire.accept()],
  ]

  test.each(ways)(
    '%s; guests run on, the leader follows, and what is applied afterwards is acted on within 5 s',
    async (way, leave, comeBack) => {
      const { platform, api } = underTest
      const name = `after-${way.slice(0, 3)}`
      const [guests, controllers] = [await qemus(platform), underTest.controllers.pid]
      const termBefore = await term(platform)
      const server = await platform.pid('kube-apiserver')
      leave(server)
      await sleep(AWAY_MS)
      expect(await qemus(platform)).toEqual(guests)
      expect(underTest.controllers.pid).toBe(controllers)

      const lists: string[] = []
      await comeBack(server)
      api.judge = (passing) => {
        if (isList(passing)) lists.push(passing.path)
        return { type: 'pass' }
      }
      const backAt = performance.now()
      await platform.apply(machine(name, { placement: { host: HOST } }))
      const appliedMs = Math.round(performance.now() - backAt)
      await eventually(async () => (await platform.get('virtualmachines', name))?.status?.host, 30_000)
      const actedOnMs = Math.round(performance.now() - backAt)
      process.stdout.write(`${way}: applied ${appliedMs} ms, acted on ${actedOnMs} ms after the return\n`)
      expect(actedOnMs).toBeLessThan(ACTED_ON_MS + LOOK_MS)
      await platform.ready('virtualmachines', name, SHORT_MS)
      // It could not renew its lease, led no more, and leads anew.
      expect(underTest.controllers.pid).toBe(controllers)
      expect(await term(platform)).toBe(termBefore + 1)
      await sleep(AFTERMATH_MS)
      api.reset()
      const kinds = lists.map((path) => path.replace(/\?.*/, ''))
      expect(kinds).toEqual([...new Set(kinds)])
    },
  )
})

/** How often the lease of the controllers was taken. */
async function term(platform: Platform): Promise<number> {
  const lease = ['get', 'lease', 'holdfast-controllers', '-nholdfast-system', '-ojsonpath={.spec.leaseTransitions}']
  return Number((await platform.kubectl(...lease)).stdout)
}

/** All objects of a kind are asked for; a look at one to learn the version is none. */
function isList({ method, path }: Passing): boolean {
  const [resource = '', query = ''] = path.split('?')
  const isCollection = /\/(virtualmachines|disks|images|hosts|datastorages|platformsettings)$/.test(resource)
  const isWatch = query.includes('watch=true') && !query.includes('sendInitialEvents=true')
  return method === 'GET' && isCollection && !isWatch && !/\blimit=1\b/.test(query)
}

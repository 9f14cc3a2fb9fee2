import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Passing } from '../lib/testing/fault-proxy.ts'
import { machine } from './testing/manifests.ts'
import { eventually, qemus, type Platform, SHORT_MS } from './testing/platform.ts'
import { HOST, UnderTest } from './testing/under-test.ts'

/** Of the ways to be away, one at least takes as long as is promised. */
const AWAY_SECONDS = 60
/** Long enough for the leader to give its lease up. */
const SHORT_SECONDS = 12
const settable = process.env['HOLDFAST_AWAY_SECONDS']
const awayMs = (seconds: number) => Number(settable ?? seconds) * 1000
/** More than the same takes where nothing is wrong, which depends on what else the computer does. */
const ACTED_ON_MS = 5_000
const AFTERMATH_MS = 2_000

describe('The API server is away', () => {
  let underTest: UnderTest

  beforeAll(async () => {
    underTest = await UnderTest.start()
  }, 300_000)
  afterAll(async () => underTest[Symbol.asyncDispose](), 180_000)

  /** Applies a machine, and returns after how many ms it is placed. */
  async function place(name: string): Promise<number> {
    const { platform } = underTest
    const begunMs = performance.now()
    await platform.apply(machine(name, { placement: { host: HOST } }))
    await eventually(async () => (await platform.get('virtualmachines', name))?.status?.host)
    return Math.round(performance.now() - begunMs)
  }

  interface Way {
    readonly way: string
    readonly ms: number
    readonly leave: (server: number) => void
    readonly comeBack: (server: number) => void | Promise<void>
  }
  const ways: Way[] = [
    {
      way: 'not there: connections are refused',
      ms: awayMs(AWAY_SECONDS),
      leave: () => underTest.api.wire.refuse(),
      comeBack: () => underTest.api.wire.accept(),
    },
    {
      way: 'frozen',
      ms: awayMs(SHORT_SECONDS),
      leave: (server) => void process.kill(server, 'SIGSTOP'),
      comeBack: (server) => void process.kill(server, 'SIGCONT'),
    },
    {
      way: 'behind a black hole, in which connections die',
      ms: awayMs(SHORT_SECONDS),
      leave: () => underTest.api.wire.freeze(),
      comeBack: () => {
        underTest.api.wire.cut()
        underTest.api.wire.thaw()
      },
    },
  ]

  test.each(ways)(
    'for $ms ms, $way; guests run on, the leader follows, and what is applied afterwards is acted on within 5 s',
    async ({ way, ms, leave, comeBack }) => {
      const { platform, api } = underTest
      const [calm, name] = [`before-${way.slice(0, 3)}`, `after-${way.slice(0, 3)}`]
      const calmMs = await place(calm)
      await platform.ready('virtualmachines', calm, SHORT_MS)
      const [guests, controllers] = [await qemus(platform), underTest.controllers.pid]
      const termBefore = await term(platform)
      const server = await platform.pid('kube-apiserver')
      leave(server)
      await sleep(ms)
      expect(await qemus(platform)).toEqual(guests)
      expect(underTest.controllers.pid).toBe(controllers)

      const lists: string[] = []
      await comeBack(server)
      api.judge = (passing) => {
        if (isList(passing)) lists.push(passing.path)
        return { type: 'pass' }
      }
      const actedOnMs = await place(name)
      process.stdout.write(
        `${way}: acted on ${actedOnMs} ms after the return, and ${calmMs} ms where nothing is wrong\n`,
      )
      expect(actedOnMs).toBeLessThan(calmMs + ACTED_ON_MS)
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
  const isCollection =
    /\/(virtualmachines|disks|images|hosts|datastorages|platformsettings|recycledresources|configmaps)$/.test(resource)
  const isWatch = query.includes('watch=true') && !query.includes('sendInitialEvents=true')
  return method === 'GET' && isCollection && !isWatch && !/\blimit=1\b/.test(query)
}

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FaultProxy } from '../lib/testing/fault-proxy.ts'
import { machine } from './testing/manifests.ts'
import { eventually, isReady, qemus } from './testing/platform.ts'
import { HOST, UnderTest } from './testing/under-test.ts'

const AFTERMATH_MS = 5_000

/** A request that is on its way, and that nobody has got yet. */
class Held {
  readonly #isOnItsWay = Promise.withResolvers<void>()
  readonly #isLetGo = Promise.withResolvers<void>()
  #isTaken = false
  /** What was answered to it. */
  answer = ''

  /** Holds the first request to that proxy of this method whose path is like this. */
  constructor(proxy: FaultProxy, method: string, path: RegExp) {
    proxy.judge = async (passing) => {
      if (this.#isTaken || passing.method !== method || !path.test(passing.path)) return { type: 'pass' }
      this.#isTaken = true
      this.#isOnItsWay.resolve()
      await this.#isLetGo.promise
      return { type: 'pass', lines: (from) => this.#note(from) }
    }
  }

  get isOnItsWay(): Promise<void> {
    return this.#isOnItsWay.promise
  }

  letGo(): void {
    this.#isLetGo.resolve()
  }

  async *#note(from: AsyncIterable<string>): AsyncGenerator<string> {
    for await (const line of from) {
      this.answer += line
      yield line
    }
  }
}

describe('A leader stands still with a write and an order on their way', () => {
  let underTest: UnderTest
  beforeAll(async () => {
    underTest = await UnderTest.start()
  }, 300_000)
  afterAll(async () => underTest[Symbol.asyncDispose](), 180_000)

  const ready = async (name: string) =>
    eventually(async () => {
      const vm = await underTest.platform.get('virtualmachines', name)
      return isReady(vm) && vm
    })

  test('both come late, and are refused: what the next leader did is what there is', async () => {
    const { platform, api, host, controllers } = underTest
    const next = await platform.pid('controllers')
    const order = new Held(host, 'PUT', /^\/v1\/machines\//)
    const on = { placement: { host: HOST } }
    await platform.apply(machine('ordered', on))
    await order.isOnItsWay
    const write = new Held(api, 'PUT', /\/virtualmachines\/placed\/status/)
    await platform.apply(machine('placed', on))
    await write.isOnItsWay

    controllers.signal('SIGSTOP')
    try {
      process.kill(next, 'SIGCONT') // It stood still until now, and waits for the lease.
      const both = [await ready('ordered'), await ready('placed')]
      const running = await qemus(platform)
      for (const { status } of both) {
        expect(running.filter(({ machineId }) => machineId === status?.machineId)).toHaveLength(1)
      }

      order.letGo()
      write.letGo()
      await eventually(async () => order.answer !== '' && write.answer !== '')
      expect(JSON.parse(order.answer)).toMatchObject({ code: 'STALE_TERM' })
      expect(JSON.parse(write.answer)).toMatchObject({ reason: 'Conflict' })

      controllers.signal('SIGCONT')
      await sleep(AFTERMATH_MS)
      expect(await qemus(platform)).toEqual(running)
      expect([await ready('ordered'), await ready('placed')]).toEqual(both)
      expect(controllers.pid).toBeGreaterThan(0)
    } finally {
      controllers.signal('SIGCONT')
    }
  })
})

import { utimes, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { DesiredImage } from '../../contract.ts'
import { eventually } from '../../testing.ts'
import { placesOf } from './places.ts'
import { newDownloadWorld, noise, orderOf, sendRange, serve, type DownloadWorld } from './testing.ts'

const KIB = 1024
const file = noise(300 * KIB)

/** Just as much as keeps a watchdog quiet, for ever. */
const drip: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-length': 2 ** 29 })
  const timer = setInterval(() => response.write(Buffer.alloc(KIB)), 20)
  response.once('close', () => clearInterval(timer))
}

/** Orders of as many different files, which the server never ends to send. */
const dripping = (url: string, count: number): DesiredImage[] =>
  Array.from({ length: count }, (_, index) => orderOf(noise(KIB, index + 2), `${url}/${index}`))

const askAll = (world: DownloadWorld, orders: readonly DesiredImage[]) =>
  Promise.all(orders.map((order) => world.downloads.put(order, 0)))

const endAll = (world: DownloadWorld, orders: readonly DesiredImage[]) =>
  Promise.all(orders.map(({ sha256 }) => world.downloads.remove(sha256)))

describe('a good server is asked', () => {
  test('soon, while as many as begin at once only drip; until then its image says that it waits', async () => {
    await using world = await newDownloadWorld({ limits: { fairMs: 1000 } })
    await using slow = await serve(drip)
    await using good = await serve((request, response) => sendRange(file, request, response))
    const orders = dripping(slow.url, 4)
    await askAll(world, orders)
    await eventually('all drip', () => slow.requests.length === 4)
    const order = orderOf(file, good.url)
    await eventually('it waits', async () => {
      const found = await world.downloads.put(order, 0)
      return found.state === 'Downloading' && found.waitsFor === 4
    })
    expect(good.requests).toHaveLength(0)
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
    // Nobody had to leave for it.
    expect(slow.requests).toHaveLength(4)
    await endAll(world, orders)
  })

  test('soon, while more drip than may at all; those take turns, and go on where they were', async () => {
    await using world = await newDownloadWorld({ limits: { fairMs: 200, atOnce: 2, inAll: 3 } })
    await using slow = await serve(drip)
    await using good = await serve((request, response) => sendRange(file, request, response))
    const orders = dripping(slow.url, 5)
    await askAll(world, orders)
    expect(await world.downloads.put(orderOf(file, good.url), undefined)).toMatchObject({ state: 'Verified' })
    await eventually('one that was put back is asked again', () =>
      slow.requests.some(({ range }) => range !== undefined),
    )
    await endAll(world, orders)
  })

  test('at once, while servers that fail wait to be asked again', async () => {
    await using world = await newDownloadWorld({ limits: { firstRetryMs: 60_000, lastRetryMs: 60_000 } })
    await using bad = await serve((_request, response) => void response.writeHead(503).end())
    await using good = await serve((request, response) => sendRange(file, request, response))
    const order = orderOf(file, good.url)
    // Those who know the checksum, and others.
    const same = Array.from({ length: 22 }, (_, index) => ({ ...order, url: `${bad.url}/${index}` }))
    const orders = [...same, ...dripping(bad.url, 8)]
    await askAll(world, orders)
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
    await eventually('each was asked', () => bad.requests.length === orders.length)
    await endAll(world, orders)
  })

  test('at once, while another one drips what should have the same checksum, and keeps what came of it', async () => {
    await using world = await newDownloadWorld()
    await using slow = await serve(drip)
    await using good = await serve((request, response) => sendRange(file, request, response, { atMost: 100 * KIB }))
    const order = orderOf(file, good.url)
    await askAll(world, [{ ...order, url: slow.url }])
    await eventually('it drips', () => slow.requests.length === 1)
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
    expect(good.requests.slice(1).every(({ range }) => range !== undefined)).toBe(true)
    await endAll(world, [order])
    expect(await world.files()).toEqual([])
  })
})

test('a download ends that nobody asks for, and goes on while somebody does', async () => {
  await using world = await newDownloadWorld({ limits: { unaskedMs: 300 } })
  let open = 0
  await using server = await serve((request, response) => {
    open += 1
    response.once('close', () => (open -= 1))
    drip(request, response)
  })
  const order = orderOf(file, server.url)
  for (let times = 0; times < 12; times += 1) {
    expect(await world.downloads.put(order, 0)).toMatchObject({ state: 'Downloading' })
    await sleep(50)
  }
  expect([server.requests.length, open]).toEqual([1, 1])
  await eventually('its connection is closed', () => open === 0)
})

test('a part that nobody asks for goes when another download of its checksum ends, one that is new stays', async () => {
  await using world = await newDownloadWorld()
  await using server = await serve((request, response) => sendRange(file, request, response))
  const order = orderOf(file, server.url)
  const placesAt = (url: string) => placesOf(world.downloadDir, { ...order, url })
  const [old, fresh] = [placesAt('/old'), placesAt('/new')]
  const other = join(world.downloadDir, `${'0'.repeat(64)}.part`)
  for (const path of [old.part, old.facts, fresh.part, other]) await writeFile(path, '{}')
  for (const path of [old.part, other]) await utimes(path, 0, 0)
  await world.downloads.put(order, undefined)
  const { whole, origins } = placesOf(world.downloadDir, order)
  const left = (await world.files()).map((name) => join(world.downloadDir, name))
  expect(new Set(left)).toEqual(new Set([whole, origins, fresh.part, other]))
})

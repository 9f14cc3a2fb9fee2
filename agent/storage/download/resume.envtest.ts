import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import type { DesiredImage } from '../../contract.ts'
import { run } from '../../run.ts'
import { eventually } from '../../testing.ts'
import { call } from '../testing.ts'
import type { Downloads } from './downloads.ts'
import { placesOf } from './places.ts'
import { digestOf, newDownloadWorld, noise, orderOf, sendRange, serve } from './testing.ts'

const KIB = 1024
const file = noise(300 * KIB)

describe('a server is overcome that', () => {
  test('cuts every answer: the rest is asked for by its entity tag, and nothing comes twice', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response, { atMost: 70 * KIB }))
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests).toHaveLength(5)
    expect(server.requests[0]).toMatchObject({ range: undefined })
    for (const { range, ifRange } of server.requests.slice(1)) {
      expect(range).toMatch(/^bytes=\d+-$/)
      expect(ifRange).toMatch(/^"/)
    }
    expect(await world.files()).toEqual([digestOf(file), `${digestOf(file)}.origins`])
  })

  test('cuts its answers and knows no entity tags: the digest proves what was put together', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => {
      sendRange(file, request, response, { atMost: 100 * KIB, isTagless: true })
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests.at(-1)).toMatchObject({ range: expect.stringMatching(/^bytes=/), ifRange: undefined })
  })

  test('ignores ranges: the file is taken from its beginning', async () => {
    await using world = await newDownloadWorld()
    let answers = 0
    await using server = await serve((request, response) => {
      answers += 1
      sendRange(file, request, response, { ignoresRange: true, ...(answers === 1 && { atMost: 100 * KIB }) })
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests).toHaveLength(2)
  })

  test('has another entity behind the same URL after a cut: what came first is dropped', async () => {
    await using world = await newDownloadWorld()
    const old = noise(300 * KIB, 9)
    let answers = 0
    await using server = await serve((request, response) => {
      answers += 1
      if (answers === 1) sendRange(old, request, response, { atMost: 100 * KIB })
      else sendRange(file, request, response)
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
  })

  test.each([
    ['says so by its entity tag', true],
    ['hides it', false],
  ])('continues with another entity, and %s: it is fetched anew', async (_how, isHonest) => {
    await using world = await newDownloadWorld()
    const old = noise(300 * KIB, 9)
    let answers = 0
    await using server = await serve((request, response) => {
      answers += 1
      const habits = { ignoresTag: true, isTagless: !isHonest }
      if (answers === 1) sendRange(old, request, response, { ...habits, atMost: 100 * KIB })
      else sendRange(file, request, response, habits)
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests.at(-1)?.range).toBeUndefined()
  })

  test('stalls in the middle', async () => {
    await using world = await newDownloadWorld({ limits: { stallMs: 150 } })
    let answers = 0
    await using server = await serve((request, response) => {
      answers += 1
      if (answers > 1) return sendRange(file, request, response)
      response.writeHead(200, { 'content-length': file.length }).write(file.subarray(0, 50 * KIB))
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
  })

  test.each([429, 500, 502, 503, 504, 408])('answers HTTP %i for a while', async (status) => {
    await using world = await newDownloadWorld()
    let answers = 0
    await using server = await serve((request, response) => {
      answers += 1
      if (answers < 3) response.writeHead(status).end('later')
      else sendRange(file, request, response)
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
  })

  test('asks for patience: why it waits is told meanwhile', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((_request, response) => response.writeHead(503, { 'retry-after': '3600' }).end())
    const order = orderOf(file, server.url)
    const trouble = { code: 'DownloadFailed', message: expect.stringContaining('HTTP 503') }
    await vi.waitFor(
      async () => expect(await world.downloads.put(order, 0)).toMatchObject({ state: 'Downloading', trouble }),
      { timeout: 10_000 },
    )
    await world.downloads.remove(order.sha256)
  })

  test('asks for patience: it is not asked before', async () => {
    await using world = await newDownloadWorld()
    const times: number[] = []
    await using server = await serve((request, response) => {
      times.push(performance.now())
      if (times.length === 1) response.writeHead(429, { 'retry-after': '1' }).end()
      else sendRange(file, request, response)
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(900)
  })

  test('redirects five times, to other paths and ports', async () => {
    await using world = await newDownloadWorld()
    await using last = await serve((request, response) => sendRange(file, request, response))
    await using server = await serve(({ url = '' }, response) => {
      const hop = url.length - '/image'.length
      response.writeHead(302, { location: hop < 4 ? `${url}x` : last.url }).end()
    })
    expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests).toHaveLength(5)
  })
})

test('what was downloaded is what was sent, for the agent alone', async () => {
  await using world = await newDownloadWorld()
  await using server = await serve((request, response) => sendRange(file, request, response))
  await world.downloads.put(orderOf(file, server.url), undefined)
  expect((await readFile(join(world.downloadDir, digestOf(file)))).equals(file)).toBe(true)
})

describe('a download', () => {
  /** Sends a byte now and then beyond the first half, until it is told to go on. */
  const throttled = async () => {
    let isSlow = true
    let sent = 0
    const server = await serve((request, response) => {
      response.on('finish', () => (sent += Number(response.getHeader('content-length'))))
      if (!isSlow) return sendRange(file, request, response)
      sent += 100 * KIB
      response.writeHead(200, { etag: `"${digestOf(file).slice(0, 16)}"`, 'content-length': file.length })
      response.write(file.subarray(0, 100 * KIB))
    })
    return { server, hurry: () => void (isSlow = false), sent: () => sent }
  }
  const received = async (downloads: Downloads, order: DesiredImage, bytes: number) => {
    await eventually('bytes are there', async () => {
      const found = await downloads.put(order, 0)
      return found.state === 'Downloading' && found.receivedBytes >= bytes
    })
  }

  test('goes on in the next agent process where the last one was killed, and no byte is sent twice', async () => {
    await using world = await newDownloadWorld({ limits: { stallMs: 60_000 } })
    const { server, hurry, sent } = await throttled()
    await using _ = server
    const order = orderOf(file, server.url)
    await received(world.downloads, order, 100 * KIB)
    // The old one still holds its connection, as one that was killed a moment ago may.
    const next = await world.reopen()
    hurry()
    expect(await next.put(order, undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests.at(-1)).toMatchObject({ range: `bytes=${100 * KIB}-`, ifRange: expect.any(String) })
    expect(sent()).toBe(file.length)
  })

  test('that a crash of the host has spoilt is found out by its digest, and starts anew', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response))
    const order = orderOf(file, server.url)
    await writeFile(placesOf(world.downloadDir, order).part, Buffer.alloc(50 * KIB))
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests.map(({ range }) => range)).toEqual([`bytes=${50 * KIB}-`, undefined])
  })

  test('that is no longer asked for ends at once, and leaves nothing behind', async () => {
    await using world = await newDownloadWorld({ limits: { stallMs: 60_000 } })
    const { server } = await throttled()
    await using _ = server
    const order = orderOf(file, server.url)
    await received(world.downloads, order, 100 * KIB)
    const waiting = world.downloads.put(order, undefined)
    await world.downloads.remove(order.sha256)
    expect(await waiting).toMatchObject({ state: 'Refused', message: expect.stringMatching(/cancelled/) })
    expect(await world.files()).toEqual([])
    await world.downloads.remove(order.sha256)
  })

  test('is one for all who ask, and those who did not wait are told', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response))
    const order = orderOf(file, server.url)
    const found = await Promise.all([order, order, order].map((one) => world.downloads.put(one, 0)))
    expect(found.map(({ state }) => state)).toEqual(['Downloading', 'Downloading', 'Downloading'])
    await eventually('it is told', () => world.told.includes(order.sha256))
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified', sizeBytes: file.length })
    expect(server.requests).toHaveLength(1)
  })

  test('is sent once by every URL that asks for it, and by no URL twice', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response))
    const order = orderOf(file, server.url)
    const other = { ...order, url: `${server.url}/of/another/image` }
    const both = await Promise.all([order, other].map((one) => world.downloads.put(one, undefined)))
    expect(both.map(({ state }) => state)).toEqual(['Verified', 'Verified'])
    const next = await world.reopen()
    for (const one of [order, other]) expect(await next.put(one, undefined)).toMatchObject({ state: 'Verified' })
    expect(server.requests).toHaveLength(2)
    await next.remove(order.sha256)
    expect(await world.files()).toEqual([])
  })

  test.each([
    ['sends nothing', 404, 'FileNotFound'],
    ['sends something else', 200, 'ChecksumMismatch'],
  ])('gives nothing to who knows its checksum, and whose own URL %s', async (_what, status, code) => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => {
      if (request.url === '/image') sendRange(file, request, response)
      else response.writeHead(status).end('nothing')
    })
    const order = orderOf(file, server.url)
    const stranger = { ...order, url: `${server.url}/of/a/stranger` }
    const found = await Promise.all([order, stranger].map((one) => world.downloads.put(one, undefined)))
    expect(found).toMatchObject([{ state: 'Verified' }, { state: 'Refused', code }])
    expect(await world.downloads.put(stranger, undefined)).toMatchObject({ state: 'Refused', code })
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
  })

  test('that was altered since is fetched anew', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response))
    const order = orderOf(file, server.url)
    await world.downloads.put(order, undefined)
    await rm(join(world.downloadDir, order.sha256))
    await writeFile(join(world.downloadDir, order.sha256), 'altered')
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Downloading' })
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
  })
})

const tried = await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'])

test.skipIf(tried.code !== 0)(
  'a file that does not fit is refused before it fills the disk, known size or not',
  async () => {
    await using world = await newDownloadWorld()
    await call('mount', '-t', 'tmpfs', '-o', 'size=200k', 'holdfast-test', world.downloadDir)
    await using undo = new AsyncDisposableStack()
    undo.defer(async () => void (await call('umount', world.downloadDir)))
    let isTold = true
    await using server = await serve((request, response) => {
      if (isTold) sendRange(file, request, response)
      else response.writeHead(200).end(file)
    })
    for (isTold of [true, false]) {
      const order = orderOf(file, `${server.url}/${String(isTold)}`)
      expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Refused', code: 'NoSpace' })
      expect(await world.files()).toEqual([])
    }
  },
)

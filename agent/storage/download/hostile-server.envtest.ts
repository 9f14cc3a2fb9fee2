import type { RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { putCanary } from '../testing-images.ts'
import { newDownloadWorld, noise, orderOf, sendRange, serve, serveRaw } from './testing.ts'

const KIB = 1024
const file = noise(300 * KIB)
const SENTENCE = /^[A-Z][^\n]*: [^\n]*[^.\n]$/

type Answer = RequestListener
interface Hostile {
  readonly code: string
  readonly message: RegExp
  readonly answer: Answer
  /** What was received so far is kept, to go on from. */
  readonly keeps?: true
}

const redirect =
  (location: string): Answer =>
  (_request, response) =>
    response.writeHead(302, { location }).end()

const hostile: Record<string, Hostile> = {
  'sends other bytes': {
    code: 'ChecksumMismatch',
    message: /is [0-9a-f]{64} and not [0-9a-f]{64}/,
    answer: (request, response) => sendRange(noise(300 * KIB, 5), request, response),
  },
  'sends other bytes, and cuts each answer': {
    code: 'ChecksumMismatch',
    message: /is [0-9a-f]{64} and not [0-9a-f]{64}/,
    answer: (request, response) => sendRange(noise(300 * KIB, 5), request, response, { atMost: 200 * KIB }),
  },
  'says that the file is shorter than it is': {
    code: 'ChecksumMismatch',
    message: /SHA-256/,
    answer: (_request, response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(5000)}`)
    },
  },
  'says that the file is longer than it is': {
    code: 'DownloadFailed',
    message: /cut|ends before/,
    keeps: true,
    answer: (_request, response) => {
      response.socket?.end(`HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n${'x'.repeat(5000)}`)
    },
  },
  'says that the file is enormous': {
    code: 'ImageTooLarge',
    message: /spec\.imports\.maxImageSize/,
    answer: (_request, response) => void response.writeHead(200, { 'content-length': 2 ** 50 }).write('x'),
  },
  'sends a body without an end': {
    code: 'ImageTooLarge',
    message: /larger than/,
    answer: (_request, response) => {
      const more = (): void => {
        while (!response.destroyed) if (!response.write(file)) return void response.once('drain', more)
      }
      more()
    },
  },
  'sends nothing': {
    code: 'DownloadFailed',
    message: /too long to answer/,
    keeps: true,
    answer: () => undefined,
  },
  'stalls again and again': {
    code: 'DownloadFailed',
    message: /too slowly/,
    keeps: true,
    answer: (_request, response) => void response.writeHead(200, { 'content-length': 9000 }).write('x'),
  },
  'sends a trickle': {
    code: 'DownloadFailed',
    message: /too slowly/,
    keeps: true,
    answer: (_request, response) => {
      response.writeHead(200, { 'content-length': 1e6 })
      const timer = setInterval(() => response.write('x'), 20)
      response.once('close', () => clearInterval(timer))
    },
  },
  'sends a trickle of headers': {
    code: 'DownloadFailed',
    message: /too long to answer/,
    keeps: true,
    answer: ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\nA: ')
      const timer = setInterval(() => socket.write('x'), 20)
      socket.once('close', () => clearInterval(timer))
    },
  },
  'sends huge headers': {
    code: 'AnswerUnusable',
    message: /headers that are too large/,
    answer: (_request, response) => void response.writeHead(200, { 'x-huge': 'x'.repeat(100 * KIB) }).end(file),
  },
  'sends chunk extensions without an end': {
    code: 'AnswerUnusable',
    message: /sends far more than the file/,
    answer: ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;')
      const more = (): void => {
        while (!socket.destroyed) if (!socket.write('x'.repeat(64 * KIB))) return void socket.once('drain', more)
      }
      more()
    },
  },
  'packs the file': {
    code: 'AnswerUnusable',
    message: /is packed \(Content-Encoding gzip\)/,
    answer: (_request, response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10 * KIB * KIB))),
  },
  'sends a part that nobody asked for': {
    code: 'AnswerUnusable',
    message: /was not asked for/,
    answer: (_request, response) => void response.writeHead(206, { 'content-range': 'bytes 5-9/10' }).end('12345'),
  },
  'sends several parts at once': {
    code: 'AnswerUnusable',
    message: /was not asked for/,
    answer: (_request, response) =>
      void response.writeHead(206, { 'content-type': 'multipart/byteranges; boundary=x' }).end('--x'),
  },
  'sends nothing as if that were it': {
    code: 'AnswerUnusable',
    message: /is no file \(HTTP 204\)/,
    answer: (_request, response) => void response.writeHead(204).end(),
  },
  'breaks its own chunks': {
    code: 'AnswerUnusable',
    message: /is no HTTP/,
    answer: ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxxxx\r\n'),
  },
  'redirects in a circle': { code: 'RedirectRefused', message: /more than 5 times/, answer: redirect('/image') },
  'redirects to a file': { code: 'RedirectRefused', message: /to file:/, answer: redirect('file:///etc/passwd') },
  'redirects to FTP': { code: 'RedirectRefused', message: /to ftp:/, answer: redirect('ftp://127.0.0.1/image') },
  'redirects to data': { code: 'RedirectRefused', message: /to data:/, answer: redirect('data:,x') },
  'redirects with a password': {
    code: 'RedirectRefused',
    message: /with a password/,
    answer: redirect('http://user:secret@127.0.0.1/image'),
  },
  'redirects nowhere': {
    code: 'RedirectRefused',
    message: /without saying where/,
    answer: (_request, response) => void response.writeHead(302).end(),
  },
  'redirects to a private address [IMG-12]': {
    code: 'AddressNotAllowed',
    message: /10\.0\.0\.1 is private: .*spec\.imports\.allowedNetworks/,
    answer: redirect('http://10.0.0.1/image'),
  },
  'redirects to a metadata service, written in decimal': {
    code: 'AddressNotAllowed',
    message: /169\.254\.169\.254 is link-local/,
    answer: redirect('http://2852039166/latest/meta-data'),
  },
  'redirects to loopback in IPv6': {
    code: 'AddressNotAllowed',
    message: /::1 is loopback/,
    answer: redirect('http://[::1]/image'),
  },
  'has no such file': {
    code: 'FileNotFound',
    message: /HTTP 404/,
    answer: (_request, response) => void response.writeHead(404).end('x'.repeat(100)),
  },
  'forbids it': {
    code: 'ServerRefused',
    message: /HTTP 403/,
    answer: (_request, response) => void response.writeHead(403).end(),
  },
  'wants a password': {
    code: 'ServerRefused',
    message: /HTTP 401/,
    answer: (_request, response) => void response.writeHead(401).end(),
  },
  'is always in trouble': {
    code: 'DownloadFailed',
    message: /HTTP 500/,
    keeps: true,
    answer: (_request, response) => void response.writeHead(500).end(),
  },
  'closes at once': {
    code: 'DownloadFailed',
    message: /connection was cut/,
    keeps: true,
    answer: ({ socket }) => void socket.destroy(),
  },
}

describe('a server is refused that', () => {
  test.each(Object.entries(hostile))('%s', async (_name, { code, message, answer, keeps }) => {
    await using world = await newDownloadWorld({ limits: { stallMs: 200, answerMs: 200, connectMs: 500 } })
    const canary = await putCanary(world.dir)
    const before = await canary.state()
    await using server = await serve(answer)
    const order = orderOf(file, server.url, { maxBytes: 2 ** 20 })
    const found = await world.downloads.put(order, undefined)
    expect(found).toMatchObject({ state: 'Refused', code, message: expect.stringMatching(message) })
    expect(found).toMatchObject({ message: expect.stringMatching(SENTENCE) })
    expect(JSON.stringify(found)).not.toContain('secret')

    const isPart = (name: string) => keeps === true && /\.(part|json)$/.test(name)
    expect((await world.files()).filter((name) => !isPart(name))).toEqual([])
    await world.downloads.remove(order.sha256)
    expect(await world.files()).toEqual([])
    expect(await canary.state()).toEqual(before)
  })

  test('is no HTTP server', async () => {
    await using world = await newDownloadWorld()
    await using server = await serveRaw((socket) => void socket.end('220 ftp ready\r\n'))
    const found = await world.downloads.put(orderOf(file, server.url), undefined)
    expect(found).toMatchObject({ state: 'Refused', code: 'AnswerUnusable' })
  })

  test('is not there', async () => {
    await using world = await newDownloadWorld()
    const server = await serve(() => undefined)
    await server[Symbol.asyncDispose]()
    const found = await world.downloads.put(orderOf(file, server.url), undefined)
    expect(found).toMatchObject({ code: 'DownloadFailed', message: expect.stringMatching(/refuses the connection/) })
  })

  test('was asked a moment ago: it is left alone until that may be over, or until the order is another', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((_request, response) => void response.writeHead(404).end())
    const order = orderOf(file, server.url)
    for (let times = 0; times < 3; times += 1) {
      expect(await world.downloads.put(order, undefined)).toMatchObject({ code: 'FileNotFound' })
    }
    expect(server.requests).toHaveLength(1)
    await world.downloads.put({ ...order, url: `${server.url}2` }, undefined)
    expect(server.requests).toHaveLength(2)
  })
})

test.each([
  ['sends other bytes', 200, 'ChecksumMismatch'],
  ['has no such file', 404, 'FileNotFound'],
])('a server that %s is not asked again soon, also when several images name it', async (_how, status, code) => {
  await using world = await newDownloadWorld()
  await using server = await serve((_request, response) => void response.writeHead(status).end('other bytes'))
  const order = orderOf(file, server.url)
  const orders = [order, { ...order, url: `${server.url}/2` }, { ...order, url: `${server.url}/3` }]
  for (let times = 0; times < 6; times += 1) {
    for (const one of orders)
      expect(await world.downloads.put(one, undefined)).toMatchObject({ state: 'Refused', code })
  }
  expect(server.requests).toHaveLength(orders.length)
})

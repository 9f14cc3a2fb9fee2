import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { newAuthority } from '../../../lib/tls/authority.ts'
import { newDownloadWorld, noise, orderOf, sendRange, serve } from './testing.ts'

const file = noise(300 * 1024)

describe('an address is not connected to', () => {
  test.each(['127.0.0.1', '2130706433', '0x7f.1', '017700000001', '[::ffff:127.0.0.1]', 'localhost'])(
    '[IMG-12] unless its network is allowed: %s',
    async (name) => {
      await using world = await newDownloadWorld()
      await using server = await serve((request, response) => sendRange(file, request, response))
      const url = `http://${name}:${server.port}/image`
      const found = await world.downloads.put(orderOf(file, url, { allowedNetworks: [] }), undefined)
      expect(found).toMatchObject({
        code: 'AddressNotAllowed',
        message: expect.stringMatching(/is loopback: .*PlatformSettings spec\.imports\.allowedNetworks/),
      })
      expect(server.connections).toBe(0)
      const allowed = { allowedNetworks: ['127.0.0.0/8', '::1/128'] }
      expect(await world.downloads.put(orderOf(file, url, allowed), undefined)).toMatchObject({ state: 'Verified' })
    },
  )

  test('[IMG-12] when a name comes to stand for it between two looks, as in DNS rebinding', async () => {
    await using server = await serve((request, response) => sendRange(file, request, response))
    const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.2']
    let looks = 0
    const resolve = async () => [{ address: answers[looks++] ?? '127.0.0.2', family: 4 }]
    await using world = await newDownloadWorld({ resolve })
    await using first = await serve((_request, response) => {
      response.writeHead(302, { location: `http://files.example.com:${server.port}/image` }).end()
    })
    const url = `http://files.example.com:${first.port}/image`
    const found = await world.downloads.put(orderOf(file, url, { allowedNetworks: ['127.0.0.1/32'] }), undefined)
    // The first connection is to the allowed address; the second look gives another, which is judged again.
    expect(found).toMatchObject({
      code: 'AddressNotAllowed',
      message: expect.stringMatching(/^The address 127\.0\.0\.2 of files\.example\.com is loopback/),
    })
    expect([first.connections, server.connections, looks]).toEqual([1, 0, 2])
  })

  test('though a name stands for an allowed one too', async () => {
    await using server = await serve((request, response) => sendRange(file, request, response))
    const resolve = async () =>
      ['10.255.255.1', '169.254.169.254', '127.0.0.1'].map((address) => ({ address, family: 4 }))
    await using world = await newDownloadWorld({ resolve })
    const url = `http://files.example.com:${server.port}/image`
    const order = orderOf(file, url, { allowedNetworks: ['127.0.0.1/32'] })
    expect(await world.downloads.put(order, undefined)).toMatchObject({ state: 'Verified' })
  })

  test('through a proxy of the environment', async () => {
    await using proxy = await serve((_request, response) => void response.writeHead(200).end('proxied'))
    await using server = await serve((request, response) => sendRange(file, request, response))
    await using world = await newDownloadWorld()
    const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY']
    for (const name of names) Object.assign(globalThis.process.env, { [name]: new URL(proxy.url).origin })
    try {
      expect(await world.downloads.put(orderOf(file, server.url), undefined)).toMatchObject({ state: 'Verified' })
    } finally {
      for (const name of names) Reflect.deleteProperty(globalThis.process.env, name)
    }
    expect(proxy.connections).toBe(0)
  })
})

describe('a server by https is', () => {
  const setUp = async (names: { dnsNames?: string[]; ips?: string[] }, lifetimeMs?: number) => {
    const authority = await newAuthority('somebody')
    const life = lifetimeMs === undefined ? {} : { lifetimeMs }
    const { certificate, key } = await authority.issue({ commonName: 'x', ...names, usages: ['Server'], ...life })
    const server = await serve((request, response) => sendRange(file, request, response), { cert: certificate, key })
    return { server, caBundle: authority.certificate }
  }
  const resolve = async () => [{ address: '127.0.0.1', family: 4 }]

  test.each([
    ['by address', { ips: ['127.0.0.1'] }, '127.0.0.1'],
    ['by name', { dnsNames: ['files.example.com'] }, 'files.example.com'],
  ])('trusted by the bundle that was given, %s', async (_how, names, host) => {
    await using world = await newDownloadWorld({ resolve })
    const { server, caBundle } = await setUp(names)
    await using _ = server
    const url = `https://${host}:${server.port}/image`
    expect(await world.downloads.put(orderOf(file, url, { caBundle }), undefined)).toMatchObject({ state: 'Verified' })
  })

  test.each([
    ['without its authority', { ips: ['127.0.0.1'] }, undefined, /authority that is not trusted: .*caBundle/],
    ['for another name', { ips: ['127.0.0.2'] }, 'its own', /is for another name/],
    ['by another authority', { ips: ['127.0.0.1'] }, 'another', /authority that is not trusted/],
  ])('refused %s', async (_how, names, bundle, message) => {
    await using world = await newDownloadWorld()
    const { server, caBundle } = await setUp(names)
    await using _ = server
    const another = (await newAuthority('another')).certificate
    const given = bundle === undefined ? {} : { caBundle: bundle === 'another' ? another : caBundle }
    const found = await world.downloads.put(orderOf(file, server.url, given), undefined)
    expect(found).toMatchObject({ code: 'CertificateNotTrusted', message: expect.stringMatching(message) })
    expect(server.requests).toEqual([])
    expect(await world.files()).toEqual([])
  })

  test('refused with an expired certificate', async () => {
    await using world = await newDownloadWorld()
    const { server, caBundle } = await setUp({ ips: ['127.0.0.1'] }, 1000)
    await using _ = server
    await sleep(1500)
    const found = await world.downloads.put(orderOf(file, server.url, { caBundle }), undefined)
    expect(found).toMatchObject({ code: 'CertificateNotTrusted', message: expect.stringMatching(/has expired/) })
  })

  test.each(['no certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'])(
    'not asked when the bundle is %j',
    async (caBundle) => {
      await using world = await newDownloadWorld()
      const { server } = await setUp({ ips: ['127.0.0.1'] })
      await using _ = server
      const found = await world.downloads.put(orderOf(file, server.url, { caBundle }), undefined)
      expect(found).toMatchObject({ code: 'CABundleUnusable' })
      expect(server.connections).toBe(0)
    },
  )

  test('refused when it speaks plain HTTP', async () => {
    await using world = await newDownloadWorld()
    await using server = await serve((request, response) => sendRange(file, request, response))
    const found = await world.downloads.put(orderOf(file, server.url.replace('http:', 'https:')), undefined)
    expect(found).toMatchObject({ code: 'AnswerUnusable', message: expect.stringMatching(/no HTTPS/) })
  })

  test('refused when it redirects to plain HTTP', async () => {
    await using world = await newDownloadWorld()
    const authority = await newAuthority('somebody')
    const { certificate: cert, key } = await authority.issue({
      commonName: 'x',
      ips: ['127.0.0.1'],
      usages: ['Server'],
    })
    await using plain = await serve((request, response) => sendRange(file, request, response))
    await using server = await serve(
      (_request, response) => void response.writeHead(302, { location: plain.url }).end(),
      {
        cert,
        key,
      },
    )
    const order = orderOf(file, server.url, { caBundle: authority.certificate })
    expect(await world.downloads.put(order, undefined)).toMatchObject({ code: 'RedirectRefused' })
    expect(plain.connections).toBe(0)
  })
})

import { describe, expect, test } from 'vitest'
import { objectionToAddress, parseNetwork, type Network } from './addresses.ts'

/** As the connection is made: the parser of URLs turns every notation of an address into one. */
const judge = (host: string, ...allowed: string[]) =>
  objectionToAddress(
    new URL(`http://${host}/`).hostname.replaceAll(/^\[|\]$/g, ''),
    allowed.map((text) => parseNetwork(text) as Network),
  )

describe('An image is not fetched from', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['127.1', 'loopback'],
    ['2130706433', 'loopback'],
    ['0x7f000001', 'loopback'],
    ['0x7f.0.0.1', 'loopback'],
    ['0x7F.1', 'loopback'],
    ['017700000001', 'loopback'],
    ['0177.0.0.1', 'loopback'],
    ['0177.0x0.1', 'loopback'],
    ['127.0.0.1.', 'loopback'],
    ['%31%32%37.0.0.1', 'loopback'],
    ['１２７.0.0.1', 'loopback'],
    ['①②⑦.⓪.⓪.①', 'loopback'],
    ['127。0。0。1', 'loopback'],
    ['[::1]', 'loopback'],
    ['[0:0:0:0:0:0:0:1]', 'loopback'],
    ['[0000::0001]', 'loopback'],
    ['[::ffff:127.0.0.1]', 'loopback'],
    ['[::FFFF:7f00:1]', 'loopback'],
    ['[64:ff9b::127.0.0.1]', 'loopback'],
    ['[::127.0.0.1]', 'reserved'],
    ['[::ffff:0:127.0.0.1]', 'reserved'],
    ['0.0.0.0', 'unspecified'],
    ['0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['[::]', 'unspecified'],
    ['[::ffff:0.0.0.0]', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['10.255.255.255', 'private'],
    ['0xa.0.0.1', 'private'],
    ['167772161', 'private'],
    ['012.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.0.1', 'private'],
    ['192.168.257', 'private'],
    ['0300.0250.1.1', 'private'],
    ['3232235777', 'private'],
    ['[::ffff:10.0.0.1]', 'private'],
    ['[::ffff:c0a8:101]', 'private'],
    ['[64:ff9b::a00:1]', 'private'],
    ['[fc00::1]', 'private'],
    ['[fd12:3456:789a::1]', 'private'],
    ['[fdff:ffff::]', 'private'],
    ['[fd00:ec2::254]', 'private'],
    ['[fec0::1]', 'private'],
    ['100.64.0.1', 'shared'],
    ['100.127.255.255', 'shared'],
    ['100.100.100.200', 'shared'],
    ['169.254.169.254', 'link-local'],
    ['2852039166', 'link-local'],
    ['0xa9fea9fe', 'link-local'],
    ['0251.0376.0251.0376', 'link-local'],
    ['169.254.43518', 'link-local'],
    ['[::ffff:169.254.169.254]', 'link-local'],
    ['[64:ff9b::169.254.169.254]', 'link-local'],
    ['[fe80::1]', 'link-local'],
    ['[febf::1]', 'link-local'],
    ['168.63.129.16', 'metadata'],
    ['[::ffff:168.63.129.16]', 'metadata'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['[ff02::1]', 'multicast'],
    ['[ff0e::1]', 'multicast'],
    ['192.0.2.1', 'documentation'],
    ['198.51.100.7', 'documentation'],
    ['203.0.113.255', 'documentation'],
    ['[2001:db8::1]', 'documentation'],
    ['[3fff::1]', 'documentation'],
    ['192.0.0.192', 'reserved'],
    ['192.88.99.1', 'reserved'],
    ['198.18.0.1', 'reserved'],
    ['198.19.255.255', 'reserved'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['[2001::1]', 'reserved'],
    ['[2001:20::1]', 'reserved'],
    ['[2002:7f00:1::]', 'reserved'],
    ['[64:ff9b:1::1]', 'reserved'],
    ['[100::1]', 'reserved'],
    ['[5f00::1]', 'reserved'],
    ['[4000::1]', 'reserved'],
  ])('%s, which is %s', (host, kind) => {
    expect(judge(host)).toBe(kind)
  })
})

test.each([
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '126.255.255.255',
  '128.0.0.1',
  '168.63.129.15',
  '172.15.255.255',
  '172.32.0.1',
  '192.167.255.255',
  '198.20.0.1',
  '223.255.255.255',
  '134744072',
  '[::ffff:8.8.8.8]',
  '[64:ff9b::808:808]',
  '[2606:4700::1111]',
  '[2a00::1]',
  '[2003::1]',
])('An image is fetched from %s', (host) => {
  expect(judge(host)).toBeUndefined()
})

test.each([
  ['127.0.0.1', '127.0.0.1/32', undefined],
  ['127.0.0.2', '127.0.0.1/32', 'loopback'],
  ['[::ffff:127.0.0.1]', '127.0.0.0/8', undefined],
  ['[64:ff9b::a00:1]', '10.0.0.0/8', undefined],
  ['10.2.0.1', '10.0.0.0/15', 'private'],
  ['10.1.255.255', '10.0.0.0/15', undefined],
  ['192.168.1.1', '0.0.0.0/0', undefined],
  ['[::1]', '0.0.0.0/0', 'loopback'],
  ['[fd00::5]', 'fd00::/8', undefined],
  ['[fd00::5]', 'fd00::4/127', undefined],
  ['[fd00::6]', 'fd00::4/127', 'private'],
  ['[2002:7f00:1::]', '2002::/16', undefined],
] as const)('An image from %s where %s is allowed: %s', (host, network, kind) => {
  expect(judge(host, network)).toBe(kind)
})

test.each(['fe80::1%eth0', 'localhost', '', '1.2.3', '::ffff:1.2.3.4.5'])('%j is no public address', (text) => {
  expect(objectionToAddress(text, [])).toMatch(/link-local|reserved/)
})

test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0/8', 'fd00::/129', '/8', '10.0.0.0/-1'])(
  '%s is no network',
  (text) => {
    expect(parseNetwork(text)).toBeUndefined()
  },
)

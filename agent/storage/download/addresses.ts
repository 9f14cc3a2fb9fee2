import { isIP } from 'node:net'

/** A network in CIDR notation, as bytes. */
export interface Network {
  readonly bytes: Uint8Array
  readonly prefix: number
}

/** Why an address is not connected to: what it is for, as an adjective or noun before `address`. */
export type AddressKind =
  | 'loopback'
  | 'link-local'
  | 'private'
  | 'shared'
  | 'multicast'
  | 'unspecified'
  | 'documentation'
  | 'metadata'
  | 'reserved'

// From IANA's registries of special-purpose addresses (RFC 6890 and later), and the one metadata service that has a public one.
const special: readonly (readonly [network: string, kind: AddressKind])[] = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['168.63.129.16/32', 'metadata'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'reserved'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'reserved'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'],
  ['ff00::/8', 'multicast'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
  // Protocol assignments, with Teredo and ORCHID in them; and 6to4: who answers there is another than the address says.
  ['2001::/23', 'reserved'],
  ['2002::/16', 'reserved'],
]

const specialNetworks = special.map(([text, kind]) => ({ network: networkOf(text), kind }))
/** All that was given out for the public so far (RFC 4291). */
const publicIPv6 = networkOf('2000::/3')
/** IPv6 that stands for an IPv4 address, in its last four bytes: mapped, and NAT64. */
const embedding = ['::ffff:0:0/96', '64:ff9b::/96'].map(networkOf)

/** The four or sixteen bytes of an address; undefined for what is none. A zone is left out. */
export function parseAddress(text: string): Uint8Array | undefined {
  const address = text.replace(/%.*$/, '')
  const version = isIP(address)
  if (version === 4) return Uint8Array.from(address.split('.'), Number)
  return version === 6 ? parseIPv6(address) : undefined
}

function parseIPv6(text: string): Uint8Array {
  // The parser of URLs writes every notation in one way, with no dots in it.
  const [head = '', tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last]
  const numbers = all.map((group) => Number.parseInt(group, 16))
  return Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]))
}

/** Undefined for what is no network in CIDR notation. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', prefix = '', more] = text.split('/')
  const bytes = parseAddress(address)
  const isPrefix = /^\d{1,3}$/.test(prefix) && Number(prefix) <= (bytes?.length ?? 0) * 8
  return bytes && isPrefix && more === undefined ? { bytes, prefix: Number(prefix) } : undefined
}

function networkOf(text: string): Network {
  const network = parseNetwork(text)
  if (!network) throw new Error(`${text} is no network`)
  return network
}

function contains({ bytes, prefix }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false
  return bytes.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8))
    const mask = (0xff << (8 - bits)) & 0xff
    return (byte & mask) === ((address[index] ?? 0) & mask)
  })
}

/**
 * Why no image is fetched from an address, by what the address is; undefined when it is a public one, or in a network
 * that is allowed. Of an IPv6 address that stands for an IPv4 one, that is what counts.
 */
export function objectionToAddress(text: string, allowed: readonly Network[]): AddressKind | undefined {
  const address = parseAddress(text)
  if (!address) return 'reserved'
  const inner = embedding.some((network) => contains(network, address)) ? address.slice(12) : address
  if (allowed.some((network) => contains(network, address) || contains(network, inner))) return undefined
  const found = specialNetworks.find(({ network }) => contains(network, inner))
  if (found) return found.kind
  return inner.length === 4 || contains(publicIPv6, inner) ? undefined : 'reserved'
}

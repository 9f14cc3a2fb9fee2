import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { callbackify } from 'node:util'
import { buildConnector } from 'undici'
import { objectionToAddress, type Network } from './addresses.ts'
import { DownloadError } from './failure.ts'
import type { Resolve } from './resolve.ts'

export interface ConnectorOptions {
  readonly allowedNetworks: readonly Network[]
  readonly resolve: Resolve
  /** PEM, in place of the well-known authorities. */
  readonly ca?: string[] | undefined
  readonly timeoutMs: number
  /** Told of every connection that is used. */
  readonly onConnected: (socket: Socket) => void
}

/**
 * Connects to public addresses and allowed ones only. What is judged is the address that is connected to: a name is
 * looked up once, here, so that nobody can answer with one address when asked and another when connected to.
 */
export function newConnector({
  allowedNetworks,
  resolve,
  ca,
  timeoutMs,
  onConnected,
}: ConnectorOptions): buildConnector.connector {
  const check = (name: string, address: string) => {
    const kind = objectionToAddress(address, allowedNetworks)
    return kind && refusal(name, address, kind)
  }
  const choose = async (name: string): Promise<LookupAddress[]> => {
    const found = await resolve(name)
    const objections = found.map(({ address }) => check(name, address))
    const usable = found.filter((_, index) => objections[index] === undefined)
    if (usable.length === 0 && objections[0]) throw objections[0]
    return usable
  }
  const lookup: LookupFunction = (name, { all }, callback) => {
    callbackify(choose)(name, (error: Error | null, found: LookupAddress[]) => {
      if (error) callback(error, [])
      else if (all) callback(error, found)
      else callback(error, found[0]?.address ?? '', found[0]?.family)
    })
  }
  const connect = buildConnector({ lookup, timeout: timeoutMs, allowH2: false, ...(ca !== undefined && { ca }) })

  return (options, callback) => {
    const name = options.hostname.replaceAll(/^\[|\]$/g, '')
    // Nobody looks up an address.
    const objection = isIP(name) === 0 ? undefined : check(name, name)
    if (objection) return callback(objection, null)
    connect({ ...options, hostname: name }, (...[error, socket]) => {
      if (error) return callback(error, null)
      const late = checkPeer(socket, name, check)
      if (!late) {
        onConnected(socket)
        return callback(null, socket)
      }
      socket.destroy()
      callback(late, null)
    })
  }
}

/** Looks once more at what the connection was really made to. */
function checkPeer(
  { remoteAddress }: Socket,
  name: string,
  check: (name: string, address: string) => DownloadError | undefined,
): DownloadError | undefined {
  return check(name, remoteAddress ?? 'unknown')
}

function refusal(name: string, address: string, kind: string): DownloadError {
  const what = name === address ? `The address ${name} is ${kind}` : `The address ${address} of ${name} is ${kind}`
  const help = 'use a public server, or allow its network in PlatformSettings spec.imports.allowedNetworks'
  return new DownloadError('AddressNotAllowed', `${what}: ${help}`)
}

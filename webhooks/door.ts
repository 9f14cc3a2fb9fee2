import { createHash, timingSafeEqual } from 'node:crypto'
import { TLSSocket } from 'node:tls'
import type { FastifyRequest } from 'fastify'

/** How the API server shows that it is the API server. */
export type Door =
  /** By a certificate of an authority that the TLS server was given, with one of these common names. */
  | { readonly by: 'Certificate'; readonly names: readonly string[] }
  /** By a path that only the webhook configurations know. For clusters whose API server has no certificate for us. */
  | { readonly by: 'Path'; readonly secret: string }

/** Why a caller is not let in, as an HTTP status; undefined for the API server. */
export type Doorkeeper = (request: Pick<FastifyRequest, 'raw' | 'url'>) => 401 | 404 | undefined

/** Stands at the door of one server. */
export function newDoorkeeper(door: Door): Doorkeeper {
  if (door.by === 'Path') {
    return ({ url }) => (isSame(url.split('/')[1] ?? '', door.secret) ? undefined : 404)
  }
  // Connections that are let in. To read a certificate takes longer than to answer, and it is the same for all of them.
  const known = new WeakSet()
  return ({ raw: { socket } }) => {
    if (known.has(socket)) return undefined
    const name = callerName(socket)
    if (name === undefined || !door.names.includes(name)) return 401
    known.add(socket)
    return undefined
  }
}

/** What comes before the paths of the routes. */
export function prefixOf(door: Door): string {
  return door.by === 'Path' ? '/:secret' : ''
}

function callerName(socket: unknown): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const name: unknown = socket.getPeerCertificate().subject.CN
  return typeof name === 'string' ? name : undefined
}

// Digests, because they are of one length, and because how long it takes says nothing.
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(wanted))
}

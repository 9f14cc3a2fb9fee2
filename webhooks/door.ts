import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { callerName } from '../lib/tls/server-files.ts'

/** How the API server shows that it is the API server. */
export type Door =
  /** By a certificate of an authority that the TLS server was given, with one of these common names. */
  | { readonly by: 'Certificate'; readonly names: readonly string[] }
  /** By a path that only the webhook configurations know. For clusters whose API server has no certificate for us. */
  | { readonly by: 'Path'; readonly secret: string }

/** Letters of such a path. Longer ones are in the way of Node.js, which reads no long request lines. */
export const MAX_SECRET = 1_024

/** Why a caller is not let in, as an HTTP status; undefined for the API server. */
export type Doorkeeper = (request: Pick<FastifyRequest, 'raw' | 'url'>) => 401 | 404 | undefined

/** Stands at the door of one server. */
export function newDoorkeeper(door: Door): Doorkeeper {
  if (door.by === 'Path') {
    return ({ url }) => (isSame(url.split('/')[1] ?? '', door.secret) ? undefined : 404)
  }
  return ({ raw }) => {
    const name = callerName(raw.socket)
    return name !== undefined && door.names.includes(name) ? undefined : 401
  }
}

/** What comes before the paths of the routes. */
export function prefixOf(door: Door): string {
  return door.by === 'Path' ? '/:secret' : ''
}

// Digests, because they are of one length, and because how long it takes says nothing.
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(wanted))
}

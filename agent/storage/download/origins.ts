import { createHash } from 'node:crypto'
import * as z from 'zod'
import { readIfThere, writeDurably } from '../../durable-file.ts'
import type { Places } from './places.ts'

/** More than ever use one file. The oldest is forgotten, and has to send the file once more. */
const MAX_ORIGINS = 64

const originsSchema = z.array(z.string())

/**
 * Whether this URL itself has sent the file. A checksum is no secret: it must not be enough to get what somebody else
 * had downloaded from where one may not go.
 */
export async function hasSent(places: Places, url: string): Promise<boolean> {
  return (await readOrigins(places)).includes(originOf(url))
}

/** Notes durably that this URL has sent the file. One at a time of each digest. */
export async function noteOrigin(places: Places, url: string): Promise<void> {
  const others = (await readOrigins(places)).filter((origin) => origin !== originOf(url))
  await writeDurably(places.origins, JSON.stringify([...others, originOf(url)].slice(-MAX_ORIGINS)))
}

/** A URL may hold a secret, and is not to be read from here. */
function originOf(url: string): string {
  return createHash('sha256').update(url).digest('hex')
}

async function readOrigins({ origins }: Places): Promise<string[]> {
  const text = await readIfThere(origins)
  try {
    return originsSchema.parse(JSON.parse(text ?? '[]'))
  } catch {
    return [] // Then each has to send the file once more.
  }
}

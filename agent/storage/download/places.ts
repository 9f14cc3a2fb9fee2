import { createHash } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../durable-file.ts'
import type { DesiredImage } from '../../contract.ts'

const PART = '.part'
const FACTS = '.json'

/**
 * Where a download is kept. What comes is kept by URL, so that no server can spoil or hold up what another sends; the
 * whole file, and which URLs have sent it, by digest.
 */
export interface Places {
  readonly part: string
  /** What its server said of it. */
  readonly facts: string
  readonly whole: string
  readonly origins: string
}

export function placesOf(folder: string, { sha256, url }: Pick<DesiredImage, 'sha256' | 'url'>): Places {
  const whole = join(folder, sha256)
  const part = `${whole}.${createHash('sha256').update(url).digest('hex').slice(0, 32)}`
  return { whole, part: `${part}${PART}`, facts: `${part}${FACTS}`, origins: `${whole}.origins` }
}

export async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

/** Removes what a download left, but for the whole file. */
export async function removePart({ part, facts }: Pick<Places, 'part' | 'facts'>): Promise<void> {
  await Promise.all([part, facts].map((path) => rm(path, { force: true })))
}

/** Removes all that there is of a digest. */
export async function removeAll(folder: string, sha256: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name === sha256 || name.startsWith(`${sha256}.`))
  await Promise.all(names.map((name) => rm(join(folder, name), { force: true })))
}

/**
 * Removes the parts of a digest that are not in use, and that nothing was written to since then: their URLs are no longer
 * asked for.
 */
export async function removeOldParts(
  folder: string,
  sha256: string,
  { used, beforeMs }: { readonly used: ReadonlySet<string>; readonly beforeMs: number },
): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${sha256}.`) && name.endsWith(PART))
  for (const part of names.map((name) => join(folder, name))) {
    if (used.has(part) || (await writtenMs(part)) >= beforeMs) continue
    await removePart({ part, facts: `${part.slice(0, -PART.length)}${FACTS}` })
  }
}

async function writtenMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (isMissing(error)) return Infinity
    throw error
  }
}

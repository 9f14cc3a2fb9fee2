import { createHash } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import type { DesiredImage } from '../../contract.ts'
import type { Refusal } from '../import-file.ts'

/** How orders failed a moment ago. Each order has its own: another URL, or other settings, are another chance. */
export interface Refusals {
  /** Why an order like this one failed; nothing once it is worth another try. */
  find(order: DesiredImage): Refusal | undefined
  /** How one like it ended last, however long ago. */
  last(order: DesiredImage): Refusal | undefined
  note(order: DesiredImage, refusal: Refusal): void
  forget(sha256: string): void
}

interface Noted {
  readonly refusal: Refusal
  readonly untilMs: number
}

/** A server is not asked again sooner, however often somebody asks here. */
const LOOK_AGAIN_MS = 30_000
/** Nor when that cost a whole download. */
const DOWNLOAD_AGAIN_MS = 900_000
const costly = new Set<Refusal['code']>(['ChecksumMismatch', 'ImageTooLarge'])
const MAX_REMEMBERED = 1000

export function newRefusals(clock: Pick<Clock, 'monotonicMs'>): Refusals {
  const noted = new Map<string, Noted>()
  return {
    find: (order) => {
      const found = noted.get(keyOf(order))
      return found && clock.monotonicMs() < found.untilMs ? found.refusal : undefined
    },
    last: (order) => noted.get(keyOf(order))?.refusal,
    note: (order, refusal) => {
      const untilMs = clock.monotonicMs() + (costly.has(refusal.code) ? DOWNLOAD_AGAIN_MS : LOOK_AGAIN_MS)
      noted.delete(keyOf(order))
      noted.set(keyOf(order), { refusal, untilMs })
      const [oldest] = noted.keys()
      if (noted.size > MAX_REMEMBERED && oldest !== undefined) noted.delete(oldest)
    },
    forget: (sha256) => {
      for (const key of noted.keys()) if (key.startsWith(sha256)) noted.delete(key)
    },
  }
}

/** All that a download depends on. A certificate bundle is long, so it is not kept. */
function keyOf({ sha256, url, caBundle, maxBytes, allowedNetworks }: DesiredImage): string {
  const terms = JSON.stringify([url, caBundle, maxBytes, allowedNetworks])
  return `${sha256} ${createHash('sha256').update(terms).digest('hex')}`
}

import * as z from 'zod'

/** An authority of the webhooks' own certificates, as all replicas share it. */
export const storedAuthority = z.object({ certificate: z.string(), key: z.string(), since: z.iso.datetime() })
export type StoredAuthority = z.output<typeof storedAuthority>

export interface Periods {
  /** After which an authority is replaced. */
  readonly authorityMs: number
  /** For which a new one is only known before it signs, and an old one is still known after it signed. */
  readonly overlapMs: number
  /** After which a certificate is issued anew. */
  readonly certificateMs: number
}

const DAY_MS = 24 * 3_600_000
export const defaultPeriods: Periods = { authorityMs: 3 * 365 * DAY_MS, overlapMs: DAY_MS, certificateMs: 30 * DAY_MS }

export interface Plan {
  /** What all replicas should know, the oldest first. */
  readonly keep: readonly StoredAuthority[]
  /** Signs certificates now; undefined when there is none yet. */
  readonly signer: StoredAuthority | undefined
  /** Whether one more has to be made. */
  readonly lacksNext: boolean
}

/**
 * What to do with the authorities that there are. The API server trusts all that are kept. So one that signs has been
 * known for as long as it takes until every API server knows it, and one that signed stays known for as long.
 */
export function planAuthorities(stored: readonly StoredAuthority[], now: Date, periods: Periods): Plan {
  const byAge = stored.toSorted((a, b) => a.since.localeCompare(b.since))
  const ageMs = ({ since }: StoredAuthority) => now.getTime() - Date.parse(since)
  const signer = byAge.findLast((one) => ageMs(one) >= periods.overlapMs) ?? byAge[0]
  const newest = byAge.at(-1)
  const isOverlapOver = signer !== undefined && ageMs(signer) >= 2 * periods.overlapMs
  return {
    keep: isOverlapOver ? byAge.slice(byAge.indexOf(signer)) : byAge,
    signer,
    lacksNext: newest === undefined || ageMs(newest) >= periods.authorityMs,
  }
}

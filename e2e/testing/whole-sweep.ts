import { describeSweep } from './sweep-suite.ts'
import { flows } from './sweep.ts'

const PARTS = 3
/** What each part of the whole has, or more: together more than 200. */
const POINTS = 70
const percent = Number(process.env['HOLDFAST_SWEEP_PERCENT'] ?? 100)

/** Declares one part of the whole sweep, which has a file and a platform of its own: parts are played beside each other. */
export function describePart(part: 1 | 2 | 3): void {
  describeSweep({
    flows: flows.filter((_, index) => index % PARTS === part - 1),
    percentOf: () => percent,
    seed: Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000),
    guest: 'Linux',
    quietMs: 60_000,
    atLeast: Math.floor((POINTS * percent) / 100),
  })
}

/** Of every hundred points of a flow, how many `npm test` plays; `npm run soak` plays all. */
const TENTH = 20

/** Declares the tenth that `npm test` plays: the seed says which half of the flows, of those not through the recycle bin. */
export function describeTenth(): void {
  const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)
  describeSweep({
    flows: flows.filter(({ persists }) => !persists).filter((_, index) => index % 2 !== seed % 2),
    percentOf: () => TENTH,
    seed,
  })
}

import { describeSweep } from './testing/sweep-suite.ts'
import { flows } from './testing/sweep.ts'

const percent = Number(process.env['HOLDFAST_SWEEP_PERCENT'] ?? 100)

/** What the whole sweep has. */
const POINTS = 200

describeSweep({
  flows,
  percentOf: () => percent,
  seed: Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000),
  guest: 'Linux',
  quietMs: 60_000,
  atLeast: Math.floor((POINTS * percent) / 100),
})

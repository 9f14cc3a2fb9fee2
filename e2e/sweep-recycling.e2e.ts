import { describeSweep } from './testing/sweep-suite.ts'
import { flows } from './testing/sweep.ts'

/** Of the flows through the recycle bin, which are long, every third, and of its points so many of a hundred. */
const SHARE = 3
const PERCENT = 4

const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)

describeSweep({
  flows: flows.filter(({ persists }) => persists).filter((_, index) => index % SHARE === seed % SHARE),
  percentOf: () => PERCENT,
  seed,
})

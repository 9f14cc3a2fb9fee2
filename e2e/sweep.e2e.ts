import { describeSweep } from './testing/sweep-suite.ts'
import { flows } from './testing/sweep.ts'

/** A tenth of the whole, which `npm run soak` plays: four points of ten, of every fourth flow. */
const SHARE = 4
const PERCENT = 40

const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)

describeSweep({
  flows: flows.filter(({ persists }) => !persists).filter((_, index) => index % SHARE === seed % SHARE),
  percentOf: () => PERCENT,
  seed,
})

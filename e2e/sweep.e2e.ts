import { describeSweep } from './testing/sweep-suite.ts'
import { flows } from './testing/sweep.ts'

/** A tenth of the whole, which `npm run soak` plays: four points of ten, of every fourth flow. */
const SHARE = 4
const PERCENT = 40
/** Of the flows through the recycle bin, which are long: a twentieth of each. */
const PERCENT_OF_LONG = 5

const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)
const long = flows.filter(({ persists }) => persists)
const short = flows.filter((flow) => !long.includes(flow))

describeSweep({
  flows: [...short.filter((_, index) => index % SHARE === seed % SHARE), ...long],
  percentOf: (flow) => (long.includes(flow) ? PERCENT_OF_LONG : PERCENT),
  seed,
})

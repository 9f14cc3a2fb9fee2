import { describeSweep } from './testing/sweep-suite.ts'
import { flows } from './testing/sweep.ts'

/** Of every hundred points of the flows through the recycle bin, which are long; `npm run soak` plays all. */
const PERCENT = 5

const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)

describeSweep({ flows: flows.filter(({ persists }) => persists), percentOf: () => PERCENT, seed })

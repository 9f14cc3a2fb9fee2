import { afterAll, beforeAll } from 'vitest'
import { describeBrakes } from './brakes.suite.ts'
import { describeDeletionCrowd } from './deletion-crowd.suite.ts'
import { describeDeletionPaths } from './deletion-paths.suite.ts'
import { newPlatform } from './testing/platform.ts'

// A platform takes longer to start than most tests take: these have one together.
const platform = await newPlatform({ env: { KUBECTL_APPLYSET: 'true' } })

beforeAll(async () => platform.mustStart('--simulated-hosts', '3', '--start-delay', '50'), 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

describeBrakes(platform)
describeDeletionPaths(platform)
describeDeletionCrowd(platform)

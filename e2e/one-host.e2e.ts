import { afterAll, beforeAll } from 'vitest'
import { describeImages } from './images.suite.ts'
import { describeMistakes } from './bad-input.suite.ts'
import { describeDeletionTable } from './deletion-table.suite.ts'
import { describePower } from './power.suite.ts'
import { describeRecovery } from './recovery.suite.ts'
import { describeTwoHosts } from './two-hosts.suite.ts'
import { newPlatform } from './testing/platform.ts'

// A platform takes longer to start than most tests take: these have one together.
const platform = await newPlatform()

beforeAll(async () => platform.mustStart(), 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

describeMistakes(platform)
describeRecovery(platform)
describePower(platform)
describeImages(platform)
describeDeletionTable(platform)
describeTwoHosts(platform)

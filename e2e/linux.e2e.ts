import { afterAll, beforeAll } from 'vitest'
import { describeDeletion } from './deletion.suite.ts'
import { describeDeletionOutages } from './deletion-outages.suite.ts'
import { describeLiveDisks } from './live-disks.suite.ts'
import { newPlatform } from './testing/platform.ts'

// Linux takes long to boot: these have one together.
const platform = await newPlatform({ guest: 'Linux' })

beforeAll(async () => platform.mustStart(), 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

describeDeletion(platform)
describeLiveDisks(platform)
describeDeletionOutages(platform)

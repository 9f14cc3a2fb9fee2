import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDeletion } from './deletion.suite.ts'
import { describeDeletionOutages } from './deletion-outages.suite.ts'
import { describeLiveDisks } from './live-disks.suite.ts'
import { newPlatform, type Result } from './testing/platform.ts'

// Linux takes long to boot: these have one together.
const platform = await newPlatform({ guest: 'Linux' })

let started: Result

beforeAll(async () => {
  started = await platform.start()
}, 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

test('npm start boots a Linux that the project builds, and says so', async () => {
  expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining('has booted') })
  expect(await platform.serialLog('hello')).toContain('BusyBox')
})

describeDeletion(platform)
describeLiveDisks(platform)
describeDeletionOutages(platform)

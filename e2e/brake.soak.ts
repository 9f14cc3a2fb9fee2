import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deleteAsEngine, prepareEngine } from './testing/engine.ts'
import { platformSettings } from './testing/manifests.ts'
import { eventually, newPlatform, type Platform } from './testing/platform.ts'

const MINUTES = 5
const DISKS = 60
const LET_THROUGH = 20
const RETRY_MS = 1_000

let platform: Platform
beforeAll(async () => {
  platform = await newPlatform()
  await platform.mustStart('--simulated-hosts', '1')
  await prepareEngine(platform, DISKS)
}, 300_000)
afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

test(
  `[DEL-18] an engine that retries for ${MINUTES} minutes deletes no more than the brake lets through, and all once it is released`,
  async () => {
    const remove = async () => deleteAsEngine(platform)
    const deadline = performance.now() + MINUTES * 60_000
    let tries = 0
    while (performance.now() < deadline) {
      expect(await remove()).toMatchObject({ code: 1, stderr: expect.stringContaining('no more are let through') })
      expect((await platform.list('disks')).length).toBeGreaterThanOrEqual(DISKS - LET_THROUGH)
      tries += 1
      await sleep(RETRY_MS)
    }
    expect(await platform.list('disks')).toHaveLength(DISKS - LET_THROUGH)
    process.stdout.write(`${tries} tries, ${LET_THROUGH} disks deleted\n`)

    const until = new Date(Date.now() + 600_000).toISOString()
    await platform.apply(platformSettings({ deletion: { brakeReleases: [{ person: 'engine', kind: 'Disk', until }] } }))
    await eventually(async () => (await remove()).code === 0)
    expect(await platform.list('disks')).toEqual([])
  },
  MINUTES * 60_000 + 120_000,
)

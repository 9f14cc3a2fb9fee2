import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../lib/queue/testing.ts'
import { findPoints, flows, playPoint, toText } from './testing/sweep.ts'
import { UnderTest } from './testing/under-test.ts'

/** Of every hundred points, how many are played. */
const PERCENT = Number(process.env['HOLDFAST_SWEEP_PERCENT'] ?? 100)
const SEED = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000)
const TIMEOUT_MS = 90 * 60_000

describe(`Kill -9 at any request (${PERCENT} % of them, HOLDFAST_SEED=${SEED})`, () => {
  let underTest: UnderTest

  beforeAll(async () => {
    underTest = await UnderTest.start()
  }, 300_000)
  afterAll(async () => underTest[Symbol.asyncDispose](), 180_000)

  test.each(flows)(
    '$name comes to one sound end',
    async (flow) => {
      const points = await findPoints(underTest, flow)
      expect(points.length).toBeGreaterThan(0)
      const random = seededRandom(SEED + flows.indexOf(flow))
      const chosen = points.filter(() => random() * 100 < PERCENT)
      let played = 0
      for (const point of chosen) {
        const isPlayed = await playPoint(underTest, point).catch((cause: unknown) => {
          throw new Error(toText(point), { cause })
        })
        if (isPlayed) played += 1
      }
      process.stdout.write(`${flow.name}: ${played} of ${points.length} points\n`)
    },
    TIMEOUT_MS,
  )
})

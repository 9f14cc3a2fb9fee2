import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seededRandom } from '../../lib/queue/testing.ts'
import { emptyBin, findPoints, playPoint, toText, type Flow } from './sweep.ts'
import { UnderTest } from './under-test.ts'

const TIMEOUT_MS = 90 * 60_000

export interface Sweep {
  readonly flows: readonly Flow[]
  /** Of every hundred points of a flow, how many are played. */
  readonly percentOf: (flow: Flow) => number
  /** Decides which. */
  readonly seed: number
  /** A system gives disks back that it is asked for; a boot sector does not. */
  readonly guest?: 'Linux'
  /** For how long nothing may be written after the last point of a flow. */
  readonly quietMs?: number
  /** So many at least must have been played in all. */
  readonly atLeast?: number
}

/** Declares the tests of a sweep: one a flow, on one platform. */
export function describeSweep({ flows, percentOf, seed, guest, quietMs, atLeast = 1 }: Sweep): void {
  describe(`Kill -9 at any request (HOLDFAST_SEED=${seed})`, () => {
    let underTest: UnderTest
    let playedInAll = 0

    beforeAll(async () => {
      underTest = await UnderTest.start(guest && { guest })
    }, 300_000)
    afterAll(async () => underTest[Symbol.asyncDispose](), 180_000)

    test.each(flows)(
      '$name comes to one sound end',
      async (flow) => {
        const points = await findPoints(underTest, flow)
        expect(points.length).toBeGreaterThan(0)
        const random = seededRandom(seed + flows.indexOf(flow))
        let played = 0
        const chosen = points.filter(() => random() * 100 < percentOf(flow))
        for (const point of chosen) {
          const isPlayed = await playPoint(underTest, point, point === chosen.at(-1) ? quietMs : undefined).catch(
            (cause: unknown) => {
              throw new Error(toText(point), { cause })
            },
          )
          if (isPlayed) played += 1
        }
        playedInAll += played
        await emptyBin(underTest)
        process.stdout.write(`${flow.name}: ${played} of ${points.length} points\n`)
      },
      TIMEOUT_MS,
    )

    test(`has ${atLeast} points or more`, () => {
      expect(playedInAll).toBeGreaterThanOrEqual(atLeast)
    })
  })
}

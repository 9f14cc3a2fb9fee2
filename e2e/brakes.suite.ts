import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { deleteAsEngine, prepareEngine } from './testing/engine.ts'
import { platformSettings } from './testing/manifests.ts'
import { metricsAddresses, readMetrics } from './testing/metrics.ts'
import { condition, eventually, isReady, type Platform } from './testing/platform.ts'

const LET_THROUGH = 20
const DISKS = 25
const DISK_BYTES = 64 * 2 ** 20

const event = z.object({ regarding: z.object({ kind: z.string(), name: z.string() }) })
const held = z.object({
  brakeCount: z.literal(1),
  brakes: z.tuple([
    z.object({
      person: z.literal('engine'),
      kind: z.literal('Disk'),
      letThrough: z.literal(LET_THROUGH),
      since: z.coerce.date(),
      lastRefusedAt: z.coerce.date(),
      opensAt: z.coerce.date(),
    }),
  ]),
})

/** What is told of a brake that holds. Wants a platform without disks and without settings. */
export function describeBrakes(platform: Platform): void {
  describe('A mass deletion that the brake stops', () => {
    afterAll(async () => platform.clear(), 120_000)

    beforeAll(async () => {
      await prepareEngine(platform, DISKS)
    }, 300_000)

    const remove = async () => deleteAsEngine(platform)
    const settings = async () => platform.get('platformsettings', 'default')

    /** Events of that reason, each as `Kind name`. */
    const events = async (reason: string) => {
      const found = await platform.list('events', undefined, { fieldSelector: `reason=${reason}` })
      return found.map((one) => {
        const { kind, name } = event.parse(one).regarding
        return `${kind} ${name}`
      })
    }

    /** The value of a series of a program; undefined where there is none. */
    const measured = async (program: string, series: string) => {
      const url = (await metricsAddresses(platform)).get(program) ?? ''
      const { text } = await readMetrics(platform, url)
      const value = text.split('\n').find((line) => line.startsWith(`${series} `))
      return value === undefined ? undefined : Number(value.slice(series.length + 1))
    }

    test('[DEL-18] [DEL-06] is told of by an event and by metrics where there are no settings', async () => {
      expect(await remove()).toMatchObject({ code: 1, stderr: expect.stringContaining('no more are let through') })
      await eventually(async () => (await platform.list('disks')).length === DISKS - LET_THROUGH)
      expect(await settings()).toBeUndefined()
      await eventually(async () => (await events('BrakeLatched')).some((one) => one.startsWith('ConfigMap brake-')))
      await eventually(async () => (await measured('controllers', 'holdfast_delete_brakes{kind="Disk"}')) === 1)
      const bytes = async () => measured('controllers', 'holdfast_recycled_bytes{kind="Disk"}')
      await eventually(async () => (await bytes()) === LET_THROUGH * DISK_BYTES)
      expect(await measured('webhooks', 'holdfast_brake_latches_total{kind="Disk"}')).toBe(1)
      const answers = (answer: string) =>
        measured(
          'webhooks',
          `holdfast_admission_requests_total{webhook="validate",kind="Disk",operation="DELETE",answer="${answer}"}`,
        )
      expect(await answers('BrakeLatched')).toBe(DISKS - LET_THROUGH)
      expect(await answers('Allowed')).toBeGreaterThanOrEqual(LET_THROUGH)
      const posts = 'rest_client_requests_total{code="201",method="POST"}'
      expect(await measured('webhooks', posts)).toBeGreaterThanOrEqual(LET_THROUGH)
    })

    test('[DEL-18] is in the status and the columns of the settings once there are some, which stay Ready', async () => {
      await platform.apply(platformSettings({}))
      const found = await eventually(async () => {
        const one = await settings()
        return one?.status?.['brakeCount'] === 1 && one
      })
      const [{ since, lastRefusedAt, opensAt }] = held.parse(found.status).brakes
      expect(lastRefusedAt.getTime()).toBeGreaterThanOrEqual(since.getTime())
      expect(opensAt.getTime() - lastRefusedAt.getTime()).toBe(3_600_000)
      expect(isReady(found)).toBe(true)
      expect(condition(found, 'BrakesOpen')).toMatchObject({ status: 'False', reason: 'BrakeLatched' })
      const { stdout } = await platform.kubectl('get', 'platformsettings', '--output=wide')
      expect(stdout).toMatch(/^NAME +READY +REASON +BRAKES +HELD/)
      expect(stdout).toMatch(/^default +True +Ready +1 +engine may delete no more objects of kind Disk: /m)
      await eventually(async () => (await events('BrakeLatched')).includes('PlatformSettings default'))
    })

    test('[DEL-18] goes on once somebody releases the brake, which is told of too', async () => {
      const until = new Date(Date.now() + 600_000).toISOString()
      await platform.apply(
        platformSettings({ deletion: { brakeReleases: [{ person: 'engine', kind: 'Disk', until }] } }),
      )
      await eventually(async () => (await settings())?.status?.['brakeCount'] === 0)
      expect(await measured('controllers', 'holdfast_delete_brakes{kind="Disk"}')).toBe(0)
      expect(await events('BrakeReleased')).toEqual(['PlatformSettings default'])
      await eventually(async () => (await remove()).code === 0)
      expect(await platform.list('disks')).toEqual([])
    })
  })
}

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { seededRandom } from '../lib/queue/testing.ts'
import { DiskWatch } from './testing/disk-watch.ts'
import { disk, machine } from './testing/manifests.ts'
import { condition, type Found, type Platform } from './testing/platform.ts'
import { entries } from './testing/recycle-bin.ts'

const PEOPLE = 50
const ACTS = 8
const NAMES = Array.from({ length: 10 }, (_, index) => `crowd-${index}`)
/** Two names want the same data disk. */
const dataOf = (name: string) => `data-${Number(name.slice(-1)) >> 1}`
const SETTLE_MS = 180_000
const seed = Number(process.env['HOLDFAST_SEED'] ?? 1)

/** What is to be expected of a crowd: that others were faster, or that it cannot be done now or in time. */
const refusals = /^(NotFound|Conflict|AlreadyExists|Forbidden|Invalid|TooManyRequests|Unreachable|Timeout)$/

/** Fifty people, ten names. */
export function describeDeletionCrowd(platform: Platform): void {
  describe(`Many who delete, create and bring back the same names at once (HOLDFAST_SEED=${seed})`, () => {
    let watch: DiskWatch
    const random = seededRandom(seed)
    const oneOf = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)]

    beforeAll(async () => {
      await platform.apply(...[...new Set(NAMES.map(dataOf))].map((name) => disk(name)))
      await platform.apply(...NAMES.map(manifest))
      watch = await DiskWatch.start(platform)
    }, 300_000)
    afterAll(async () => watch[Symbol.asyncDispose]())

    const manifest = (name: string) =>
      machine(name, { disks: [{ diskRef: { name: dataOf(name) } }], terminationGracePeriodSeconds: 0 })

    /** Each is one request, as a person or a program sends it. */
    const acts: ((name: string) => Promise<unknown>)[] = [
      async (name) =>
        platform.send({ method: 'DELETE', path: objectPath(VirtualMachine, { namespace: 'default', name }) }),
      async (name) =>
        platform.send({ method: 'POST', path: collectionPath(VirtualMachine, 'default'), body: manifest(name) }),
      async (name) => {
        const entry = oneOf((await entries(platform)).filter(({ resource }) => resource.name === name))
        if (entry) await bringBack(entry.name, {})
      },
      async (name) => {
        const entry = oneOf((await entries(platform)).filter(({ resource }) => resource.kind === 'VirtualMachine'))
        if (entry) await bringBack(entry.name, { recoverAs: { name } })
      },
    ]

    async function bringBack(name: string, more: object): Promise<void> {
      const path = objectPath(RecycledResource, { name })
      const body = { spec: { action: 'Recover', ...more } }
      await platform.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
    }

    /** What is still under way, in words. */
    const unsettled = async (): Promise<string[]> =>
      [...(await platform.list('virtualmachines')), ...(await platform.list('recycledresources'))]
        .filter((one) => !isSettled(one))
        .map(toText)

    const isRefusal = (error: unknown): boolean =>
      error instanceof Error && 'code' in error && refusals.test(String(error.code))

    test('[DEL-16] never have a disk at two machines, and lose none', { timeout: 600_000 }, async () => {
      let done = 0
      const person = async () => {
        for (let left = ACTS; left > 0; left--) {
          const [act, name] = [oneOf(acts), oneOf(NAMES)]
          if (!act || name === undefined) throw new Error('unreachable')
          try {
            await act(name)
            done += 1
          } catch (error) {
            if (!isRefusal(error)) throw error
          }
          await sleep(random() * 300)
        }
      }
      await Promise.all(Array.from({ length: PEOPLE }, person))
      expect(done).toBeGreaterThan(PEOPLE)

      await expect.poll(unsettled, { timeout: SETTLE_MS, interval: 500 }).toEqual([])
      const [machines, bin] = [await platform.list('virtualmachines'), await entries(platform)]
      expect(watch.doubles).toEqual([])
      expect(watch.looks).toBeGreaterThan(10)

      const alive = (await platform.list('disks')).map(({ status }) => status?.id)
      const kept = bin.flatMap(({ contents }) => contents?.disks ?? []).map(({ id }) => id)
      const resting = bin.filter(({ phase }) => phase === 'Binned').flatMap(({ contents }) => contents?.disks ?? [])
      expect(resting.filter(({ id }) => alive.includes(id))).toEqual([])
      expect([...watch.seen].filter((id) => !alive.includes(id) && !kept.includes(id))).toEqual([])
      const ids = machines.map(({ status }) => status?.machineId)
      expect(new Set(ids).size).toBe(ids.length)
    })
  })
}

function toText(found: Found): string {
  const { reason, message } = condition(found) ?? {}
  return `${found.kind} ${found.metadata.name}: ${reason} ${message} ${found.metadata.deletionTimestamp ?? ''}`
}

/** It runs, is kept, or waits for a name or a disk that another one has: nothing comes of it by itself. */
function isSettled(found: Found): boolean {
  const { metadata } = found
  const ready = condition(found)
  if (metadata.deletionTimestamp !== undefined || ready?.observedGeneration !== metadata.generation) return false
  return ready?.status === 'True' || /^(DiskInUse|DiskNameTaken|NameTaken)$/.test(ready?.reason ?? '')
}

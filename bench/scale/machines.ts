import { setTimeout as sleep } from 'node:timers/promises'
import { Disk } from '../../crds/disk.ts'
import type { Resource } from '../../crds/kind.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { follow, isReady, type Followed } from '../followed.ts'

const IMAGE = 'holdfast-guest'

/** Calls `work` with 0 to `count - 1`, so many at once. */
export async function inParallel(count: number, lanes: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** On any host, or on one. */
export async function createMachine(kube: Kube, name: string, host?: string): Promise<VirtualMachine> {
  const { body } = await kube.send<VirtualMachine>({
    method: 'POST',
    path: collectionPath(VirtualMachine, 'default'),
    body: {
      apiVersion: 'compute.holdfast.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name, namespace: 'default' },
      spec: {
        memory: '256Mi',
        rootDisk: { imageRef: { name: IMAGE } },
        terminationGracePeriodSeconds: 0,
        ...(host !== undefined && { placement: { host } }),
      },
    },
  })
  return body
}

/** Counts as they change, without looking at all for one. */
export interface Population extends AsyncDisposable {
  machines(): VirtualMachine[]
  /** What the recycle bin has. */
  entries(): RecycledResource[]
  /** Resolves when so many machines of this prefix are Ready. */
  untilReady(prefix: string, count: number): Promise<void>
  /** Resolves when there are no more machines and disks, and all is destroyed. Throws when the recycle bin keeps some of it. */
  untilDestroyed(): Promise<void>
  /** Resolves when there are no more machines and disks, and the recycle bin can bring so many machines back. */
  untilBinned(count: number): Promise<void>
  /** Resolves when the recycle bin is empty. */
  untilBinEmpty(): Promise<void>
  /** Resolves when there are no more machines and disks of this prefix. */
  untilGone(prefix: string): Promise<void>
  untilMachine(name: string, is: (vm: VirtualMachine) => boolean): Promise<VirtualMachine>
}

export function followPopulation(kube: Kube): Population {
  const machines = follow(kube, VirtualMachine)
  const disks = follow(kube, Disk)
  const recycled = follow(kube, RecycledResource)
  const binned = namesOf(recycled, ({ status }) => status?.phase === 'Binned')
  const untilGone = async () => {
    await machines.until(({ size }) => (size === 0 ? true : undefined))
    await disks.until(({ size }) => (size === 0 ? true : undefined))
  }
  const untilBinEmpty = async () => void (await recycled.until(({ size }) => (size === 0 ? true : undefined)))
  return {
    machines: () => machines.objects.list(),
    entries: () => recycled.objects.list(),
    async untilReady(prefix, count) {
      const isOne = (vm: VirtualMachine | undefined) =>
        vm !== undefined && vm.metadata.name.startsWith(prefix) && isReady(vm)
      let ready = 0
      const end = machines.objects.onChange((before, after) => (ready += Number(isOne(after)) - Number(isOne(before))))
      await machines.until(() => (ready >= count ? true : undefined)).finally(end)
    },
    async untilDestroyed() {
      await untilGone()
      const kept = recycled.objects.list().filter(({ spec }) => spec.deletion.policy !== 'Immediate').length
      if (kept > 0) throw new Error(`the recycle bin keeps ${kept} of what was to be destroyed`)
      await untilBinEmpty()
    },
    async untilBinned(count) {
      await untilGone()
      await recycled.until(() => (binned.size >= count ? true : undefined))
    },
    untilBinEmpty,
    async untilGone(prefix) {
      const isNone = (all: readonly Resource[]) => !all.some(({ metadata }) => metadata.name.startsWith(prefix))
      await machines.until((all) => (isNone(all.list()) ? true : undefined))
      await disks.until((all) => (isNone(all.list()) ? true : undefined))
    },
    untilMachine: (name, is) =>
      machines.until((all) => {
        const vm = all.get(`default/${name}`)
        return vm && is(vm) ? vm : undefined
      }),
    async [Symbol.asyncDispose]() {
      await Promise.all([machines, disks, recycled].map((followed) => followed[Symbol.asyncDispose]()))
    },
  }
}

/** Names of those objects of which something is true, kept as they change. */
function namesOf<R extends Resource>({ objects }: Followed<R>, is: (object: R) => boolean): ReadonlySet<string> {
  const names = new Set<string>()
  objects.onChange((before, after) => {
    const name = (after ?? before)?.metadata.name ?? ''
    if (after && is(after)) names.add(name)
    else names.delete(name)
  })
  return names
}

const DELETE_LANES = 10
const MAX_AGAIN = 20
const AGAIN_MS = 500

/** Has all machines of this prefix deleted, each by a delete of its own. Returns how many had to be sent again. */
export async function deleteMachines(kube: Kube, population: Population, prefix = ''): Promise<number> {
  const machines = population.machines().filter(({ metadata }) => metadata.name.startsWith(prefix))
  let again = 0
  await inParallel(machines.length, DELETE_LANES, async (index) => {
    const path = objectPath(VirtualMachine, { namespace: 'default', name: machines[index]?.metadata.name ?? '' })
    again += await patiently(() => kube.send({ method: 'DELETE', path }))
  })
  return again
}

/** As `createMachine`, and as often as it takes. Returns how often it had to be sent again. */
export async function createPatiently(kube: Kube, name: string): Promise<number> {
  return patiently(async (again) => {
    try {
      await createMachine(kube, name)
    } catch (error) {
      // It was made, and the answer was lost.
      if (again === 0 || !isKubeError(error, 'AlreadyExists')) throw error
    }
  })
}

/** Whether a call may get through when it is sent again. */
export function isPassing(error: unknown): boolean {
  return isKubeError(error, 'Unreachable', 'Timeout', 'TooManyRequests', 'Other')
}

/** On a computer that is very busy admission runs out of time, and asks to try again. Returns how often that was. */
async function patiently(send: (again: number) => Promise<unknown>): Promise<number> {
  for (let again = 0; ; again++) {
    try {
      await send(again)
      return again
    } catch (error) {
      if (again === MAX_AGAIN || !isPassing(error)) throw error
      await sleep(AGAIN_MS)
    }
  }
}

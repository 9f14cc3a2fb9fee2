import { Disk } from '../../crds/disk.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { follow, isReady } from '../followed.ts'

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
  names(): string[]
  /** Resolves when so many machines of this prefix are Ready. */
  untilReady(prefix: string, count: number): Promise<void>
  /** Resolves when there are no more machines and disks than so many. */
  untilGone(left?: number): Promise<void>
  untilMachine(name: string, is: (vm: VirtualMachine) => boolean): Promise<VirtualMachine>
}

export function followPopulation(kube: Kube): Population {
  const machines = follow(kube, VirtualMachine)
  const disks = follow(kube, Disk)
  const ready = new Set<string>()
  machines.objects.onChange((before, after) => {
    const name = (after ?? before)?.metadata.name ?? ''
    if (after && isReady(after)) ready.add(name)
    else ready.delete(name)
  })
  return {
    names: () => machines.objects.list().map(({ metadata }) => metadata.name),
    async untilReady(prefix, count) {
      const isOf = (name: string) => name.startsWith(prefix)
      await machines.until(() => (ready.size >= count && [...ready].filter(isOf).length >= count ? true : undefined))
    },
    async untilGone(left = 0) {
      await machines.until(({ size }) => (size <= left ? true : undefined))
      await disks.until(({ size }) => (size <= left ? true : undefined))
    },
    untilMachine: (name, is) =>
      machines.until((all) => {
        const vm = all.get(`default/${name}`)
        return vm && is(vm) ? vm : undefined
      }),
    async [Symbol.asyncDispose]() {
      await machines[Symbol.asyncDispose]()
      await disks[Symbol.asyncDispose]()
    },
  }
}

/** Has all machines deleted, with their root disks, one by one as `kubectl delete hfvm --all` does. */
export async function deleteMachines(kube: Kube, population: Population, lanes: number): Promise<void> {
  const names = population.names()
  await inParallel(names.length, lanes, async (index) => {
    const path = objectPath(VirtualMachine, { namespace: 'default', name: names[index] ?? '' })
    await kube.send({ method: 'DELETE', path })
  })
}

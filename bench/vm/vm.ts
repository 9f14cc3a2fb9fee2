import { setTimeout as sleep } from 'node:timers/promises'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { follow, isReady, type Followed } from '../followed.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { readModel, startByHand } from './by-hand.ts'
import { report } from './report.ts'
import { agentOf, type Runs } from './runs.ts'
import { growth } from '../prometheus.ts'
import { countWrites, writesPerMachine, type WritesPerMachine } from '../writes.ts'

const WRITES_OF = 5
const SETTLE_MS = 3_000
const MIB = 2 ** 20

/**
 * From the create of a machine, whose image the storage has, until its QEMU says that it runs: next to the same
 * qemu-img and QEMU calls made by hand, in turns. The host copies the disk where one of its size was made before, and runs
 * qemu-img for the first of a size: each is next to its like by hand, too. Then the writes of machines that are created
 * and left alone.
 */
export async function benchVm({ rounds, env, say }: BenchOptions) {
  say('starting a platform')
  await using platform = await startPlatform(env)
  const { kube, home } = platform
  await setUp(kube, await destroyingSettings(kube))
  await using stack = new AsyncDisposableStack()
  const runs = stack.use(await agentOf(home))
  const machines = stack.use(follow(kube, VirtualMachine))

  await create(kube, { name: 'model' })
  const ready = await untilReady(machines, 'model')
  const machineId = ready.status?.machineId ?? ''
  const model = await readModel(home, (await runs.untilRunning('default/model')).pid ?? 0, machineId)
  await remove(kube, 'model', machines) // A guest that boots would take a core from what is measured.

  const floor: number[] = []
  const copied: number[] = []
  const running: number[] = []
  const readied: number[] = []
  const firsts: number[] = []
  for (let index = 0; index < rounds; index++) {
    const byHandMs = await startByHand(model, 'qemu-img')
    const byCopyMs = await startByHand(model, 'copy')
    const usual = await startByHoldfast(kube, { name: `round-${index}` }, runs, machines)
    // No disk had that size before, so that qemu-img is run for it.
    const size = `${Math.ceil(model.virtualSizeBytes / MIB) + index + 1}Mi`
    const first = await startByHoldfast(kube, { name: `first-${index}`, size }, runs, machines)
    floor.push(byHandMs)
    copied.push(byCopyMs)
    running.push(usual.runningMs)
    readied.push(usual.readyMs)
    firsts.push(first.runningMs)
    say(
      `round ${index + 1} of ${rounds}: by hand ${Math.round(byHandMs)} ms, by copy ${Math.round(byCopyMs)} ms, Holdfast ${Math.round(usual.runningMs)} ms, first of a size ${Math.round(first.runningMs)} ms`,
    )
  }
  const writes = await writesOf(kube, machines)
  return report({ floor, copied, running, readied, firsts, writes, say })
}

type Machines = Followed<VirtualMachine>

const untilReady = (machines: Machines, name: string) =>
  machines.until((all) => {
    const vm = all.get(`default/${name}`)
    return vm && isReady(vm) ? vm : undefined
  })

interface Wanted {
  readonly name: string
  /** Of its root disk, if it is not the image's. */
  readonly size?: string
}

async function create(kube: Kube, { name, size }: Wanted): Promise<void> {
  const rootDisk = { imageRef: { name: 'holdfast-guest' }, ...(size !== undefined && { size }) }
  const body = {
    apiVersion: 'compute.holdfast.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: { memory: '256Mi', rootDisk, terminationGracePeriodSeconds: 0 },
  }
  await kube.send({ method: 'POST', path: collectionPath(VirtualMachine, 'default'), body })
}

async function startByHoldfast(kube: Kube, wanted: Wanted, runs: Runs, machines: Machines) {
  const { name } = wanted
  const startedAt = performance.now()
  const since = async (event: Promise<unknown>) => {
    await event
    return performance.now() - startedAt
  }
  const running = since(runs.untilRunning(`default/${name}`))
  await create(kube, wanted)
  const [runningMs, readyMs] = await Promise.all([running, since(untilReady(machines, name))])
  await remove(kube, name, machines)
  return { runningMs, readyMs }
}

async function remove(kube: Kube, name: string, machines: Machines): Promise<void> {
  await kube.send({ method: 'DELETE', path: objectPath(VirtualMachine, { namespace: 'default', name }) })
  await machines.until((all) => (all.get(`default/${name}`) ? undefined : true))
  await sleep(500) // Its disk goes a moment later.
}

async function writesOf(kube: Kube, machines: Machines): Promise<WritesPerMachine> {
  await sleep(SETTLE_MS) // What was removed before goes on being written about.
  const before = await countWrites(kube)
  const names = Array.from({ length: WRITES_OF }, (_, index) => `writes-${index}`)
  for (const name of names) {
    await create(kube, { name })
    await untilReady(machines, name)
  }
  await sleep(SETTLE_MS)
  return writesPerMachine(growth(before, await countWrites(kube)), WRITES_OF)
}

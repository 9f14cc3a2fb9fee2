import { setTimeout as sleep } from 'node:timers/promises'
import { Disk } from '../../crds/disk.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { collectionPath } from '../../lib/kube/paths.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { deleteMachines, followPopulation, inParallel } from '../scale/machines.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { pidOf, usageOf } from '../usage.ts'
import { agentOf } from '../vm/runs.ts'
import { report, type Minute } from './report.ts'

const LANES = 5
/** A guest without anything to boot stays in its firmware, and has given up by then. */
const SETTLE_MS = 30_000
const IDLE_MS = 60_000
const MAX_OVERCOMMIT_PERCENT = 3200

/** What the agent of this machine takes while its guests do nothing. They have 16 MiB and a blank disk. */
export async function benchAgent({ rounds, machines, env, say }: BenchOptions) {
  say('starting a platform')
  await using platform = await startPlatform(env)
  const { kube, home } = platform
  await using population = followPopulation(kube)
  await setUp(kube, {
    ...(await destroyingSettings(kube)),
    placement: { cpuOvercommitPercent: MAX_OVERCOMMIT_PERCENT },
  })
  await population.untilReady('', 1) // The sample, which boots and would be another kind of guest.
  await deleteMachines(kube, population)
  await population.untilDestroyed()

  await inParallel(machines, LANES, async (index) => createGuest(kube, `guest-${index}`))
  await population.untilReady('guest-', machines)
  say(`${machines} guests run`)
  await sleep(SETTLE_MS)

  const agentPid = await pidOf(home, 'agent')
  const guestPids = await pidsOfGuests(home, population.machines())
  const minutes: Minute[] = []
  for (let index = 1; index <= rounds; index++) {
    minutes.push(await idleMinute(agentPid, guestPids))
    say(`minute ${index} of ${rounds}: the agent ${(minutes.at(-1)?.agent ?? 0).toFixed(2)} % of a core`)
  }
  return report({ minutes, usage: await usageOf(agentPid), guests: guestPids.length, say })
}

async function createGuest(kube: Kube, name: string): Promise<void> {
  const metadata = { name, namespace: 'default' }
  const disk = { apiVersion: `${Disk.group}/${Disk.version}`, kind: Disk.kind, metadata, spec: { size: '1Mi' } }
  await kube.send({ method: 'POST', path: collectionPath(Disk, 'default'), body: disk })
  const machine = {
    apiVersion: `${VirtualMachine.group}/${VirtualMachine.version}`,
    kind: VirtualMachine.kind,
    metadata,
    spec: { memory: '16Mi', rootDisk: { diskRef: { name } }, terminationGracePeriodSeconds: 0 },
  }
  await kube.send({ method: 'POST', path: collectionPath(VirtualMachine, 'default'), body: machine })
}

async function pidsOfGuests(home: string, machines: readonly VirtualMachine[]): Promise<number[]> {
  await using agent = await agentOf(home)
  const names = machines.map(({ metadata }) => `default/${metadata.name}`)
  const running = await Promise.all(names.map((name) => agent.untilRunning(name)))
  return running.flatMap(({ pid }) => pid ?? [])
}

async function idleMinute(agent: number, guests: readonly number[]): Promise<Minute> {
  const cpuOf = async (pids: readonly number[]) => {
    const usages = await Promise.all(pids.map(usageOf))
    return usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
  }
  const both = async () => ({ agent: await cpuOf([agent]), guests: await cpuOf(guests) })
  const [startedAt, before] = [performance.now(), await both()]
  await sleep(IDLE_MS)
  const [seconds, after] = [(performance.now() - startedAt) / 1000, await both()]
  const percent = (key: keyof Minute) => ((after[key] - before[key]) * 100) / seconds
  return { agent: percent('agent'), guests: percent('guests') }
}

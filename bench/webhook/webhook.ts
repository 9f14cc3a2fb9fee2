import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { Disk } from '../../crds/disk.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { Kube } from '../../lib/kube/client.ts'
import { collectionPath, objectPath, type Endpoint } from '../../lib/kube/paths.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { createMachine, followPopulation, inParallel } from '../scale/machines.ts'
import { whoAmI } from '../settings.ts'
import { pidOf, usageOf } from '../usage.ts'
import { bareDeletes } from './bare-deletes.ts'
import { startFloor } from './floor.ts'
import { connectTo, type Question, type Sample, type Target } from './load.ts'
import { deleteQuestions, writeQuestions, type Subjects } from './questions.ts'
import { ratioOf, report, type Pair, type Played } from './report.ts'

const HOSTS = 50
const LANES = 50
/** Questions in a round, and how many of them one is asked before it is the other's turn: what else runs falls on both. */
const ALONE = { lanes: 1, slices: 100, inSlice: 10 } as const
const TOGETHER = { lanes: LANES, slices: 20, inSlice: 250 } as const
const DELETES = 200

interface Stage {
  readonly floor: Target
  readonly ours: Target
  readonly questions: readonly Question[]
}

/**
 * Admission asked at its own port, with the certificate and the questions of the API server, among so many machines; in
 * turns with a webhook that allows everything. Then deletes, next to the same calls to the API server.
 */
export async function benchWebhook({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  const subjects = await fill(kube, machines)
  say(`${machines} machines are there`)

  await using stack = new AsyncDisposableStack()
  const caller = await readCaller(home)
  const connect = ({ origin, ca }: Address) => stack.use(connectTo({ origin, tls: { ...caller, ca }, lanes: LANES }))
  const floor = connect(stack.use(await startFloor(caller.authority)))
  const stage: Stage = { floor, ours: connect(await findWebhooks(kube)), questions: writeQuestions(subjects) }
  await playRound(stage) // Code that is cold says nothing.

  const played: Played[] = []
  for (let index = 1; index <= rounds; index++) {
    const round = await playRound(stage)
    played.push(round)
    say(`round ${index} of ${rounds}: p50 takes ${describe(round)} as long as that of the floor`)
  }
  const pid = await pidOf(home, 'webhooks')
  const usage = await usageOf(pid)
  await using webhooks = await Kube.connect(join(home, 'pki/kubernetes/holdfast-webhooks.kubeconfig'))
  const deletes = await playDeletes(stage.ours, webhooks, subjects)
  const peakRssMb = { writes: usage.peakRssMb, all: (await usageOf(pid)).peakRssMb }
  return report({ played, deletes, peakRssMb, lanes: LANES, machines, say })
}

const describe = (round: Played) =>
  `${ratioOf([round.alone], 50).toFixed(2)} times (one at a time) and ${ratioOf([round.together], 50).toFixed(2)} times (${LANES} at once)`

/** So many machines, and of these one to ask about; a disk, too. */
async function fill(kube: Kube, machines: number): Promise<Subjects> {
  await using population = followPopulation(kube)
  await inParallel(machines, LANES, async (index) => void (await createMachine(kube, `vm-${index}`)))
  await population.untilReady('vm-', machines)
  const [namespace, name] = ['default', 'data']
  const disk = {
    apiVersion: `${Disk.group}/${Disk.version}`,
    kind: Disk.kind,
    metadata: { name, namespace },
    spec: { size: '1Gi' },
  }
  const made = await kube.send<Disk>({ method: 'POST', path: collectionPath(Disk, namespace), body: disk })
  const path = objectPath(VirtualMachine, { namespace, name: 'vm-0' })
  const machine = await kube.send<VirtualMachine>({ method: 'GET', path })
  return { machine: machine.body, disk: made.body, person: await whoAmI(kube) }
}

/** What the API server shows to webhooks, and who vouches for it. PEM texts. */
async function readCaller(home: string) {
  const read = (name: string) => readFile(join(home, 'pki', 'kubernetes', name), 'utf8')
  const name = 'kube-apiserver-webhooks'
  return { cert: await read(`${name}.crt`), key: await read(`${name}.key`), authority: await read('ca.crt') }
}

interface Address {
  readonly origin: string
  readonly ca: string
}

const CONFIGURATIONS: Endpoint = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
  scope: 'Cluster',
}
const configuration = z.object({
  webhooks: z.tuple([z.object({ clientConfig: z.object({ url: z.url(), caBundle: z.base64() }) })], z.unknown()),
})

/** Where the API server finds our webhooks, and whom it trusts there. */
async function findWebhooks(kube: Kube): Promise<Address> {
  const { body } = await kube.send({ method: 'GET', path: objectPath(CONFIGURATIONS, { name: 'holdfast' }) })
  const { url, caBundle } = configuration.parse(body).webhooks[0].clientConfig
  return { origin: new URL(url).origin, ca: Buffer.from(caBundle, 'base64').toString() }
}

async function playRound(stage: Stage): Promise<Played> {
  return {
    alone: await inTurns(stage, ALONE),
    together: await inTurns(stage, TOGETHER),
  }
}

async function inTurns({ floor, ours, questions }: Stage, how: typeof ALONE | typeof TOGETHER): Promise<Pair> {
  const [count, lanes] = [how.inSlice, how.lanes]
  const slices: Pair[] = []
  for (let slice = 0; slice < how.slices; slice++) {
    // Neither is always the first.
    const first = slice % 2 === 0 ? floor : ours
    const second = first === floor ? ours : floor
    const one = await first.ask(questions, { count, lanes })
    const other = await second.ask(questions, { count, lanes })
    slices.push(first === floor ? { floor: one, ours: other } : { floor: other, ours: one })
  }
  const pair = { floor: merged(slices.map((slice) => slice.floor)), ours: merged(slices.map((slice) => slice.ours)) }
  if (pair.ours.refused > 0) throw new Error(`${pair.ours.refused} creates and updates were refused`)
  return pair
}

function merged(samples: readonly Sample[]): Sample {
  const sum = (of: (sample: Sample) => number) => samples.reduce((all, sample) => all + of(sample), 0)
  const [seconds, refused] = [sum((sample) => sample.seconds), sum((sample) => sample.refused)]
  return { seconds, refused, latenciesMs: samples.flatMap(({ latenciesMs }) => latenciesMs) }
}

async function playDeletes(ours: Target, kube: Kube, subjects: Subjects): Promise<Played> {
  const questions = deleteQuestions(subjects)
  const pair = async (lanes: number): Promise<Pair> => ({
    floor: await bareDeletes(kube, { count: DELETES, lanes }),
    ours: await ours.ask(questions, { count: DELETES, lanes }),
  })
  return { alone: await pair(1), together: await pair(LANES) }
}

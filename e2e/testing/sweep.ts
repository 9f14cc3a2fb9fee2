import { KubeError } from '../../lib/kube/errors.ts'
import type { FaultProxy, Verdict } from '../../lib/testing/fault-proxy.ts'
import { untilSound } from './invariants.ts'
import { disk, machine, platformSettings, withMetadata, type Manifest } from './manifests.ts'
import { eventually, isReady } from './platform.ts'
import { act, entries } from './recycle-bin.ts'
import { destroy, insist, keep, outlive, recover, recoverFile, recycle, restore } from './recycling.ts'
import { HOST, type UnderTest, type Victim } from './under-test.ts'

/** One change that a user makes. What it needs is there before, and is gone after. */
export interface Flow {
  readonly name: string
  readonly prepare: (test: UnderTest) => Promise<void>
  readonly change: (test: UnderTest) => Promise<void>
  /** What is to be done after it, so that what it left can be taken away. Nobody is killed meanwhile. */
  readonly release?: (test: UnderTest) => Promise<void>
  /** It is asked for until it is accepted, and seen through to its end; so the webhooks may be killed as well. */
  readonly persists?: true
  /** How often its machine is started in all. */
  readonly starts?: number
}

export const VM = 'swept'
/** A Disk that its machine does not take along. */
const SCRATCH = 'scratch'
/** Before and after a flow it is enough that nothing is under way. */
const SETTLED_MS = 300
const on = (spec: object = {}) => machine(VM, { placement: { host: HOST }, terminationGracePeriodSeconds: 0, ...spec })
const withData = { disks: [{ diskRef: { name: 'data' } }] }
const data = (size = '64Mi', more: object = {}) => disk('data', { size, dataStorage: 'local-2', ...more })
const withBoth = {
  disks: [{ diskRef: { name: 'data' }, deleteWithVirtualMachine: true }, { diskRef: { name: SCRATCH } }],
}
const scratch = disk(SCRATCH, { dataStorage: 'local-2' })
const PICTURE = 'picture'
const imports = { allowedNetworks: ['127.0.0.0/8'] }
const settings = platformSettings({ imports })
const soonOver = platformSettings({ imports, deletion: { disk: { policy: 'Delayed', retention: '10s' } } })
const under = (deletionPolicy: 'Immediate' | 'Delayed' | 'Never') => ({ deletionPolicy })
const restoring = withMetadata(on(), { annotations: { 'holdfast.dev/on-name-reuse': 'Restore' } })
const nothing = async () => undefined
const apply =
  (...manifests: Manifest[]) =>
  async ({ platform }: UnderTest) =>
    platform.put(...manifests)

const ask = (name: string) => async (test: UnderTest) =>
  apply(on({ power: { request: name, at: new Date().toISOString() } }))(test)

const remove =
  (plural: string, name: string) =>
  async ({ platform }: UnderTest) =>
    platform.remove(plural, name)

export const flows: readonly Flow[] = [
  { name: 'create', prepare: nothing, change: apply(on()), starts: 1 },
  { name: 'attach while it runs', prepare: apply(data(), on()), change: apply(on(withData)), starts: 1 },
  { name: 'detach while it runs', prepare: apply(data(), on(withData)), change: apply(on()), starts: 1 },
  { name: 'grow while it runs', prepare: apply(data(), on(withData)), change: apply(data('96Mi')) },
  { name: 'restart', prepare: apply(on()), change: ask('Restart'), starts: 2 },
  { name: 'create with a disk', prepare: nothing, change: apply(data(), on(withData)) },
  { name: 'halt', prepare: apply(on()), change: apply(on({ runStrategy: 'Halted' })) },
  { name: 'start', prepare: apply(on({ runStrategy: 'Halted' })), change: apply(on()), starts: 1 },
  { name: 'resize', prepare: apply(on({ runStrategy: 'Halted' })), change: apply(on({ memory: '192Mi', cpus: 2 })) },
  { name: 'grow', prepare: apply(data(), on({ ...withData, runStrategy: 'Halted' })), change: apply(data('96Mi')) },
  { name: 'attach', prepare: apply(data(), on({ runStrategy: 'Halted' })), change: apply(on(withData)) },
  { name: 'detach', prepare: apply(data(), on({ ...withData, runStrategy: 'Halted' })), change: apply(on()) },
  { name: 'pause', prepare: apply(on()), change: ask('Pause'), starts: 1 },
  { name: 'reset', prepare: apply(on()), change: ask('Reset'), starts: 1 },
  { name: 'force off', prepare: apply(on()), change: ask('ForceStop') },
  { name: 'delete a disk', prepare: apply(data()), change: remove('disks', 'data') },
  { name: 'delete', prepare: apply(data(), on(withData)), change: remove('virtualmachines', VM) },
  {
    name: 'recycle',
    prepare: apply(on()),
    change: async (test) => recycle(test, 'virtualmachines', VM),
    persists: true,
  },
  { name: 'recover', prepare: async (test) => binOne(test), change: async (test) => recover(test, VM), persists: true },
  {
    name: 'recycle with disks',
    prepare: apply(data(), scratch, on(withBoth)),
    change: async (test) => recycle(test, 'virtualmachines', VM),
    persists: true,
  },
  {
    name: 'recover with disks',
    prepare: async (test) => binOne(test, withBoth, data(), scratch),
    change: async (test) => recover(test, VM),
    persists: true,
  },
  {
    name: 'restore',
    prepare: async (test) => binOne(test),
    change: async (test) => restore(test, VM, restoring),
    persists: true,
  },
  {
    name: 'recycle a disk',
    prepare: apply(data()),
    change: async (test) => recycle(test, 'disks', 'data'),
    persists: true,
  },
  {
    name: 'recover a disk',
    prepare: binDisk,
    change: async (test) => recoverFile(test, 'disks', 'data'),
    persists: true,
  },
  {
    name: 'recycle an image',
    prepare: download,
    change: async (test) => recycle(test, 'images', PICTURE),
    persists: true,
  },
  {
    name: 'recover an image',
    prepare: binPicture,
    change: recoverPicture,
    persists: true,
  },
  { name: 'end by time', prepare: apply(soonOver, data()), change: expire, persists: true },
  {
    name: 'destroy at once',
    prepare: apply(on(under('Immediate'))),
    change: async (test) => destroy(test, 'virtualmachines', VM),
    persists: true,
  },
  {
    name: 'destroy a disk at once',
    prepare: apply(data('64Mi', under('Immediate'))),
    change: async (test) => destroy(test, 'disks', 'data'),
    persists: true,
  },
  {
    name: 'keep for good',
    prepare: apply(on(under('Never'))),
    change: async (test) => keep(test, 'virtualmachines', VM),
    release: releaseMachine,
    persists: true,
  },
  {
    name: 'keep a disk for good',
    prepare: apply(data('64Mi', under('Never'))),
    change: async (test) => keep(test, 'disks', 'data'),
    release: releaseDisk,
    persists: true,
  },
]

async function binOne(test: UnderTest, spec: object = {}, ...disks: Manifest[]): Promise<void> {
  await apply(...disks, on(spec))(test)
  await eventually(async () => isReady(await test.platform.get('virtualmachines', VM)))
  await remove('virtualmachines', VM)(test)
}

async function binDisk(test: UnderTest): Promise<void> {
  await apply(data())(test)
  await eventually(async () => isReady(await test.platform.get('disks', 'data')))
  await remove('disks', 'data')(test)
}

/** On both hosts. */
async function download(test: UnderTest): Promise<void> {
  await apply(settings, test.pictures.next(PICTURE))(test)
  const hosts = async () => (await test.platform.get('images', PICTURE))?.status?.['hosts']
  await eventually(async () => String(await hosts()) === ['host-1', HOST].join(','))
}

async function binPicture(test: UnderTest): Promise<void> {
  await download(test)
  await remove('images', PICTURE)(test)
}

/** What hosts have is still what they had: one whose server is gone could not be fetched anew. */
async function recoverPicture(test: UnderTest): Promise<void> {
  const before = test.pictures.requests
  await recoverFile(test, 'images', PICTURE)
  if (test.pictures.requests > before) throw new Error('what hosts had of the image is downloaded anew')
}

async function expire(test: UnderTest): Promise<void> {
  await outlive(test, 'disks', 'data')
  await insist(async () => apply(settings)(test))
}

/** What comes back from what is kept for good can be deleted under another policy; nothing else can be destroyed. */
async function releaseMachine(test: UnderTest): Promise<void> {
  await recover(test, VM)
  await insist(async () => apply(on(under('Delayed')))(test))
}

async function releaseDisk(test: UnderTest): Promise<void> {
  await recoverFile(test, 'disks', 'data')
  await insist(async () => apply(data('64Mi', under('Delayed')))(test))
}

/** Who is killed, at which request, and whether the request was carried out before. */
export interface Point {
  readonly flow: Flow
  readonly victim: Victim
  readonly at: 'api' | 'host' | 'admission'
  readonly request: number
  readonly after: boolean
}

export function toText({ flow, victim, at, request, after }: Point): string {
  return `${flow.name}: ${victim} killed ${after ? 'after' : 'before'} request ${request} at ${at}`
}

/** Every point of a flow: it is gone through once without a fault, to count its requests. */
export async function findPoints(test: UnderTest, flow: Flow): Promise<Point[]> {
  await flow.prepare(test)
  await untilSound(test, SETTLED_MS)
  test.resetProxies()
  await flow.change(test)
  await untilSound(test)
  const [toApi, toHost] = [test.api.count, test.host.count]
  const ofWebhooks = flow.persists ? test.admission.count : 0
  await clear(test, flow)
  const up = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
  const both = (point: Omit<Point, 'after' | 'flow'>): Point[] =>
    [false, true].map((after) => ({ ...point, flow, after }))
  return [
    ...up(toApi).flatMap((request) => both({ victim: 'controllers', at: 'api', request })),
    ...up(toHost).flatMap((request) => both({ victim: 'controllers', at: 'host', request })),
    ...up(toHost).flatMap((request) => both({ victim: 'agent', at: 'host', request })),
    ...up(ofWebhooks).flatMap((request) => both({ victim: 'webhooks', at: 'admission', request })),
  ]
}

/**
 * Goes through a flow, kills at the point, starts again what was killed, and waits until all is sound. False when the
 * flow came to its end with fewer requests: how many there are depends a little on what happens at the same time.
 * With `quietMs`, nothing may be written for that long afterwards.
 */
export async function playPoint(test: UnderTest, point: Point, quietMs?: number): Promise<boolean> {
  const { flow, victim, at, request, after } = point
  await flow.prepare(test)
  await untilSound(test, SETTLED_MS)
  test.resetProxies()
  const killed = Promise.withResolvers<undefined>()
  const state: { killing?: Promise<void>; isOver: boolean } = { isOver: false }
  const proxy: FaultProxy = test[at]
  const kill = async () => {
    if (state.isOver) return // The answer to this request came later than all that it was about.
    state.killing = test.kill(victim)
    await state.killing
    killed.resolve(undefined)
  }
  proxy.judge = async ({ number }): Promise<Verdict> => {
    if (number !== request) return { type: 'pass' }
    if (after) return { type: 'cutAfter', meanwhile: kill }
    await kill()
    return { type: 'cut' }
  }
  const changed = flow.change(test)
  const over = changed.then(() => untilSound(test))
  over.catch(() => undefined) // Without those who are killed it may well not become so.
  await Promise.race([killed.promise, over])
  state.isOver = true
  proxy.reset()
  await state.killing
  if (state.killing) await test.restart(victim)
  await changed
  await untilSound(test)
  await verifyStarts(test, point)
  if (quietMs !== undefined) await untilSound(test, quietMs)
  await clear(test, flow)
  return state.killing !== undefined
}

/** Nothing is started twice. An agent that is killed in the middle of a start does not know whether that came to anything. */
async function verifyStarts({ platform, tap }: UnderTest, { flow, victim }: Point): Promise<void> {
  if (flow.starts === undefined) return
  const { machineId = '' } = (await platform.get('virtualmachines', VM))?.status ?? {}
  const starts = await tap.starts(machineId)
  const isRight = victim === 'agent' ? starts >= flow.starts : starts === flow.starts
  if (!isRight) throw new Error(`the machine was started ${starts} times, and not ${flow.starts}`)
}

/** Takes away what the flow made, and checks that nothing of it is left. */
async function clear(test: UnderTest, { release }: Flow): Promise<void> {
  const { platform } = test
  test.resetProxies()
  await release?.(test)
  await platform.remove('virtualmachines', VM)
  await platform.remove('disks', 'data')
  await platform.remove('disks', SCRATCH)
  await platform.remove('images', PICTURE)
  await eventually(async () => {
    const lists = await Promise.all(['virtualmachines', 'disks', 'images'].map(async (kind) => platform.list(kind)))
    return lists.flat().every(({ metadata }) => ![VM, `${VM}-root`, 'data', SCRATCH, PICTURE].includes(metadata.name))
  })
  await eventually(async () => isReady(await platform.get('hosts', HOST)))
  await untilSound(test, SETTLED_MS)
}

/** Destroys what is in the recycle bin, and waits until nothing of it is left, down to the last file. */
export async function emptyBin(test: UnderTest): Promise<void> {
  const { platform } = test
  if ((await entries(platform)).length === 0) return
  await eventually(async () => {
    const binned = (await entries(platform)).filter(({ phase }) => phase === 'Binned')
    await Promise.all(binned.map(async (entry) => act(platform, entry, { action: 'Purge' }).catch(unlessUnheard)))
    return (await entries(platform)).length === 0
  })
  await untilSound(test, SETTLED_MS)
}

/**
 * Webhooks that were just started and have much to do are asked again: many entries are purged at once here. So many
 * that one which is asked for again may be gone since it was listed.
 */
function unlessUnheard(error: unknown): void {
  const texts = ['failed calling webhook', 'try again in a moment']
  const isUnheard = error instanceof KubeError && texts.some((text) => error.message.includes(text))
  const isGone = error instanceof KubeError && error.code === 'NotFound'
  if (!isUnheard && !isGone) throw error
}

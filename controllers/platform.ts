import { randomBytes, randomUUID } from 'node:crypto'
import type { HostAgent } from '../agent/contract.ts'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import { Host } from '../crds/host.ts'
import { Image } from '../crds/image.ts'
import { PlatformSettings } from '../crds/platform-settings.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { makerOf, VirtualMachine } from '../crds/virtual-machine.ts'
import { leaderLease } from '../crds/leader-lease.ts'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { eventRecorder } from '../lib/kube/events.ts'
import type { Leadership } from '../lib/kube/leadership.ts'
import { runElector, type ElectorOptions } from '../lib/kube/lease.ts'
import { keyOf, objectPath, type Endpoint } from '../lib/kube/paths.ts'
import { readIfThere } from '../lib/kube/read.ts'
import { withServerClock, type ServerClock } from '../lib/kube/server-clock.ts'
import { NotLeading, whileLeading } from '../lib/kube/while-leading.ts'
import { objectWriter } from '../lib/kube/writer.ts'
import { defaultImports } from '../policy/imports.ts'
import { endSubscriptions, followCluster, newCaches, untilSynced, type Caches } from './cluster/caches.ts'
import { FIELD_MANAGER, newController, type Controller, type ControllerDeps } from './cluster/controller.ts'
import { enqueueAll } from './cluster/watch.ts'
import { dataStorageReconciler } from './data-storage/reconciler.ts'
import { watchDataStorages } from './data-storage/watches.ts'
import { newMadeDisks } from './disk/made.ts'
import { diskReconciler } from './disk/reconciler.ts'
import type { Deps as DiskDeps } from './disk/scope.ts'
import { lookAtDisksOf, watchDisks } from './disk/watches.ts'
import type { ControllersMetrics } from './metrics.ts'
import { newCandidates, type Candidates } from './fleet/candidates.ts'
import type { FleetEvent } from './fleet/fleet-host.ts'
import { newFleet, type Address, type Fleet } from './fleet/fleet.ts'
import { newLedger, type Ledger } from './fleet/ledger.ts'
import { hostReconciler } from './host/reconciler.ts'
import type { Deps as HostDeps } from './host/scope.ts'
import { isOwned, watchHosts } from './host/watches.ts'
import { imageReconciler } from './image/reconciler.ts'
import type { Deps as ImageDeps } from './image/scope.ts'
import { watchImages } from './image/watches.ts'
import { platformSettingsReconciler } from './platform-settings/reconciler.ts'
import type { Teller } from './platform-settings/scope.ts'
import { watchPlatformSettings } from './platform-settings/watches.ts'
import { recycledResourceReconciler } from './recycled-resource/reconciler.ts'
import { watchRecycled } from './recycled-resource/watches.ts'
import { accessRecycled, openRecycleBin } from './recycling.ts'
import { toMac } from './virtual-machine/machine.ts'
import { newOrders } from './virtual-machine/orders.ts'
import { virtualMachineReconciler } from './virtual-machine/reconciler.ts'
import type { Deps as VirtualMachineDeps } from './virtual-machine/scope.ts'
import { watchVirtualMachines } from './virtual-machine/watches.ts'

export interface PlatformDeps extends Omit<ControllerDeps, 'recorder' | 'kube' | 'metrics'> {
  readonly kube: Pick<Kube, 'send' | 'stream'>
  readonly connect: (host: string, address: Address, caller: Caller) => HostAgent & AsyncDisposable
  /** Name of this process, for events and in the Lease. No other process ever has it. */
  readonly instance: string
  readonly hasEnded: NonNullable<ElectorOptions['hasEnded']>
  readonly metrics?: ControllersMetrics
  /** As in `ControllersConfig`. */
  readonly purgesFrom?: Date | undefined
  readonly relistMs?: number
}

/** On whose behalf an agent is called. */
export interface Caller {
  /** Throws NotLeading once the lease is over. */
  readonly term: () => number
  /** Takes note of a greater term that an agent holds. Throws NotLeading: what was ordered has to be ordered again. */
  readonly onStaleTerm: (held: number) => void
}

/** Who alone attaches disks to machines; apart from the owner of the rest of their status. */
const ATTACHMENT_MANAGER = 'holdfast-attachments'

/** Follows what the cluster holds, and runs the controllers whenever this process leads, until the signal is aborted. */
export async function runPlatform(deps: PlatformDeps, signal: AbortSignal): Promise<void> {
  const { clock, log, instance, hasEnded, metrics, relistMs } = deps
  const { clock: serverClock, ...kube } = withServerClock(deps.kube, clock)
  const caches = newCaches()
  metrics?.follow(caches, clock.now)
  const following = followCluster(caches, { kube, clock, log, signal, relistMs, observe: metrics?.kube.reflector })
  await untilSynced(caches, signal)
  if (!signal.aborted) log.info('all that the cluster holds is known')
  const election = { kube, lease: leaderLease, identity: instance, clock, log, signal, hasEnded }
  await Promise.all([
    following,
    runElector(election, (leadership) => lead({ ...deps, kube }, { caches, serverClock }, leadership)),
  ])
}

/** What a process keeps while it waits to lead. */
interface Known {
  readonly caches: Caches
  readonly serverClock: ServerClock
}

/** Runs the controllers of every kind for one leadership. They trust nothing that an earlier one remembered. */
async function lead(deps: PlatformDeps, { caches, serverClock }: Known, leadership: Leadership): Promise<void> {
  const { connect, clock, log, instance, metrics, purgesFrom } = deps
  const { signal } = leadership
  const kube = whileLeading(deps.kube, leadership)
  const caller = newCaller(leadership)
  const watchers: ((event: FleetEvent) => void)[] = []
  const onEvent = (event: FleetEvent) => {
    for (const watcher of watchers) watcher(event)
  }
  await using fleet = newFleet({ connect: (host, at) => connect(host, at, caller), onEvent, clock, log })
  using subscriptions = new DisposableStack()
  subscriptions.defer(() => endSubscriptions(caches))
  metrics?.kube.leads(leaderLease.name, true)
  subscriptions.defer(() => metrics?.kube.leads(leaderLease.name, false))
  // Who merely stops has its last orders answered first.
  const hangUp = () => {
    if (leadership.leftMs() === 0) for (const { name } of fleet.all()) fleet.remove(name)
  }
  signal.addEventListener('abort', hangUp, { once: true })
  const observer = metrics?.kube.events
  const recorder = eventRecorder({ kube, clock, log, controller: 'holdfast.dev/controllers', instance, observer })
  const controllers = newControllers(
    { kube, clock, log, recorder, metrics, caches, fleet, serverClock, purgesFrom },
    watchers,
  )
  await Promise.all(controllers.map((controller) => controller.work(signal)))
  await recorder.flush()
}

function newCaller(leadership: Leadership): Caller {
  return {
    term() {
      if (leadership.leftMs() === 0) throw new NotLeading('the lease is over')
      return leadership.term
    },
    onStaleTerm(held) {
      leadership.outbid(held)
      throw new NotLeading(`an agent holds term ${held}`)
    },
  }
}

interface Parts extends ControllerDeps {
  readonly caches: Caches
  readonly purgesFrom: Date | undefined
  readonly fleet: Fleet
  readonly serverClock: ServerClock
}

/** One controller a kind, each watching what its kind depends on. */
function newControllers(parts: Parts, watchers: ((event: FleetEvent) => void)[]): Controller[] {
  const { caches, fleet } = parts
  const { virtualMachines, disks, images, dataStorages, hosts, platformSettings, recycled } = caches
  const bin = openRecycleBin(parts.kube, caches)
  const ledger = keepLedger(caches)
  const candidates = findCandidates(caches, fleet, ledger)
  const image = (namespace: string, name: string) => images.get(`${namespace}/${name}`)
  const machinesOf = (machineId: string) => virtualMachines.by('machineId', machineId)
  const virtualMachine = (namespace: string, name: string) => virtualMachines.get(`${namespace}/${name}`)

  const teller = tellOfBrakes(parts)
  const ofSettings = platformSettingsReconciler({ ...teller, records: () => caches.brakes.list() })
  const settings = newController(PlatformSettings, platformSettings, ofSettings, parts)
  const host = newController(Host, hosts, hostReconciler(findOwners(parts)), parts)
  const dataStorage = newController(DataStorage, dataStorages, dataStorageReconciler({ fleet }), parts)
  const ofImages = newController(Image, images, imageReconciler({ ...readForImages(parts), bin }), parts)
  const shared = { fleet, candidates, ledger, image, virtualMachine, machinesOf, bin }
  const disksOfFile = (id: string) => disks.by('id', id)
  const made = newMadeDisks({
    onChange: (listener) => disks.onChange(listener),
    onMade: ({ metadata }) => enqueueAll(vm.add, virtualMachines.by('disk', keyOf(metadata))),
  })
  const ofDisks = newController(
    Disk,
    disks,
    diskReconciler({ ...shared, made, disksOfFile, ...rememberDisks() }),
    parts,
  )
  const reconciler = virtualMachineReconciler({
    ...shared,
    isMade: made.has,
    tellAnswer: (machine) => lookAtDisksOf(caches, ofDisks.add, machine),
    now: parts.clock.now,
    ...accessDisks(parts),
  })
  const vm = newController(VirtualMachine, virtualMachines, reconciler, parts)

  const entries = recycledResourceReconciler(accessRecycled(parts, bin))
  const entry = newController(RecycledResource, recycled, entries, parts)

  watchPlatformSettings(caches, settings.add, teller)
  watchers.push(
    watchHosts(caches, fleet, host.add),
    watchDataStorages(caches, dataStorage.add),
    watchImages(caches, ofImages.add),
    watchDisks(caches, ofDisks.add),
    watchVirtualMachines(caches, vm.add),
    watchRecycled(caches, entry.add),
  )
  return [settings, host, dataStorage, ofImages, ofDisks, vm, entry]
}

function keepLedger({ virtualMachines, disks, recycled }: Caches): Ledger {
  const ledger = newLedger()
  virtualMachines.onChange((before, after) => ledger.machineChanged(before, after))
  disks.onChange((before, after) => ledger.diskChanged(before, after))
  recycled.onChange((before, after) => ledger.entryChanged(before, after))
  return ledger
}

function findCandidates({ hosts, dataStorages, platformSettings }: Caches, fleet: Fleet, ledger: Ledger): Candidates {
  return newCandidates({
    fleet,
    ledger,
    hosts: () => hosts.list(),
    storages: () => dataStorages.list(),
    storage: (name) => dataStorages.get(name),
    settings: () => platformSettings.get('default'),
  })
}

/** What the controller of disks knows for as long as this process leads. */
function rememberDisks(): Pick<DiskDeps, 'adopters' | 'seen'> {
  return { adopters: new Map(), seen: new Map() }
}

/** What is told of brakes, of the settings or of the record of one. */
function tellOfBrakes({ serverClock, recorder }: Parts): Teller {
  return { now: serverClock.now, emit: (object, news) => recorder.record({ object, ...news, action: 'Reconcile' }) }
}

/** What the controller of hosts looks up, and tells. */
function findOwners({ caches, fleet, clock, recorder }: Parts): HostDeps {
  return {
    fleet,
    clock,
    unowned: new Map(),
    isOwned: (machine, host) => isOwned(caches, machine, host),
    emit: (object, news) => recorder.record({ object, ...news, action: 'Reconcile' }),
  }
}

const CONFIG_MAPS: Endpoint = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' }

/** What the controller of images looks up. */
function readForImages({
  kube,
  clock,
  fleet,
  caches: { images, dataStorages, platformSettings },
}: Parts): Omit<ImageDeps, 'bin'> {
  return {
    fleet,
    clock,
    settings: () => platformSettings.get('default')?.spec.imports ?? defaultImports,
    hasStorage: (host) => dataStorages.by('host', host).length > 0,
    downloadedAs: (sha256) => images.by('download', sha256),
    async configMapValue(namespace, name, key) {
      try {
        const path = objectPath(CONFIG_MAPS, { namespace, name })
        const { body } = await kube.send<{ data?: Record<string, string> }>({ method: 'GET', path })
        return body.data?.[key]
      } catch (error) {
        if (isKubeError(error, 'NotFound')) return undefined
        throw error
      }
    },
  }
}

type DiskAccess = Pick<
  VirtualMachineDeps,
  | 'disk'
  | 'disksOf'
  | 'disksOfFile'
  | 'attachedTo'
  | 'usersOf'
  | 'createDisk'
  | 'readDisk'
  | 'deleteDisk'
  | 'setAttachment'
  | 'newId'
  | 'newMac'
  | 'orders'
>

/** What the controller of machines does with disks, and the identities that it gives. */
function accessDisks({ kube, caches: { disks, virtualMachines } }: Parts): DiskAccess {
  const writer = objectWriter(kube, Disk, FIELD_MANAGER, disks)
  const attachments = objectWriter(kube, Disk, ATTACHMENT_MANAGER, disks)
  return {
    disk: (namespace, name) => disks.get(`${namespace}/${name}`),
    disksOf: (machineId) => disks.by('maker', machineId),
    usersOf: (namespace, disk) => virtualMachines.by('disk', `${namespace}/${disk}`),
    attachedTo: (machineId) => disks.by('user', machineId),
    disksOfFile: (id) => disks.by('id', id),
    createDisk: (manifest) => createOrGet(kube, manifest, () => writer.create(manifest)),
    async readDisk({ metadata }) {
      const found = await readIfThere<Disk>(kube, objectPath(Disk, metadata))
      return found?.metadata.uid === metadata.uid ? found : undefined
    },
    async deleteDisk({ metadata }) {
      const { uid, resourceVersion, deletionTimestamp } = metadata
      // What was made for the machine is its own, whatever somebody changed of it since.
      const asRead = makerOf(metadata) === undefined ? { resourceVersion } : {}
      if (deletionTimestamp === undefined) await writer.delete(metadata, { uid, ...asRead })
    },
    setAttachment: (disk, attachedTo) =>
      attachments.changeStatus(disk, { from: disk.status ?? {}, to: { ...disk.status, attachedTo } }),
    newId: () => randomUUID(),
    newMac: () => toMac(randomBytes(6)),
    orders: newOrders(),
  }
}

async function createOrGet(
  kube: Pick<Kube, 'send'>,
  { metadata }: Parameters<VirtualMachineDeps['createDisk']>[0],
  create: () => Promise<Disk>,
): Promise<Disk> {
  try {
    return await create()
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error
    const { body } = await kube.send<Disk>({ method: 'GET', path: objectPath(Disk, metadata) })
    return body
  }
}

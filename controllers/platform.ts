import { randomBytes, randomUUID } from 'node:crypto'
import type { HostAgent } from '../agent/contract.ts'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import { Host } from '../crds/host.ts'
import { Image } from '../crds/image.ts'
import { PlatformSettings } from '../crds/platform-settings.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { eventRecorder } from '../lib/kube/events.ts'
import { objectPath } from '../lib/kube/paths.ts'
import { objectWriter } from '../lib/kube/writer.ts'
import { newCaches, type Caches } from './cluster/caches.ts'
import { FIELD_MANAGER, newController, type Controller, type ControllerDeps } from './cluster/controller.ts'
import { dataStorageReconciler } from './data-storage/reconciler.ts'
import { watchDataStorages } from './data-storage/watches.ts'
import { diskReconciler } from './disk/reconciler.ts'
import { watchDisks } from './disk/watches.ts'
import { newCandidates, type Candidates } from './fleet/candidates.ts'
import type { FleetEvent } from './fleet/fleet-host.ts'
import { newFleet, type Address, type Fleet } from './fleet/fleet.ts'
import { newLedger, type Ledger } from './fleet/ledger.ts'
import { hostReconciler } from './host/reconciler.ts'
import { watchHosts } from './host/watches.ts'
import { imageReconciler } from './image/reconciler.ts'
import { watchImages } from './image/watches.ts'
import { platformSettingsReconciler } from './platform-settings/reconciler.ts'
import { toMac } from './virtual-machine/machine.ts'
import { newOrders } from './virtual-machine/orders.ts'
import { virtualMachineReconciler } from './virtual-machine/reconciler.ts'
import type { Deps as VirtualMachineDeps } from './virtual-machine/scope.ts'
import { watchVirtualMachines } from './virtual-machine/watches.ts'

export interface PlatformDeps extends Omit<ControllerDeps, 'recorder'> {
  readonly connect: (host: string, address: Address) => HostAgent & AsyncDisposable
  /** Name of this process, for events. */
  readonly instance: string
}

/** Who alone attaches disks to machines; apart from the owner of the rest of their status. */
const ATTACHMENT_MANAGER = 'holdfast-attachments'

/** Runs the controllers of every kind until the signal is aborted. */
export async function runPlatform(deps: PlatformDeps, signal: AbortSignal): Promise<void> {
  const { connect, clock, log, kube } = deps
  const caches = newCaches()
  const watchers: ((event: FleetEvent) => void)[] = []
  const onEvent = (event: FleetEvent) => {
    for (const watcher of watchers) watcher(event)
  }
  await using fleet = newFleet({ connect, onEvent, clock, log })
  const recorder = eventRecorder({ kube, clock, log, controller: 'holdfast.dev/controllers', instance: deps.instance })
  const controllers = newControllers({ ...deps, recorder, caches, fleet }, watchers)

  const following = controllers.map((controller) => controller.follow(signal))
  await untilSynced(caches, signal)
  if (!signal.aborted) log.info({ kinds: controllers.length }, 'the controllers are ready')
  await Promise.all([...following, ...controllers.map((controller) => controller.work(signal))])
  await recorder.flush()
}

interface Parts extends ControllerDeps {
  readonly caches: Caches
  readonly fleet: Fleet
}

/** One controller a kind, each watching what its kind depends on. */
function newControllers(parts: Parts, watchers: ((event: FleetEvent) => void)[]): Controller[] {
  const { caches, fleet } = parts
  const { virtualMachines, disks, images, dataStorages, hosts, platformSettings } = caches
  const ledger = keepLedger(caches)
  const candidates = findCandidates(caches, fleet, ledger)
  const image = (namespace: string, name: string) => images.get(`${namespace}/${name}`)
  const virtualMachine = (namespace: string, name: string) => virtualMachines.get(`${namespace}/${name}`)

  const settings = newController(PlatformSettings, platformSettings, platformSettingsReconciler(), parts)
  const host = newController(Host, hosts, hostReconciler({ fleet }), parts)
  const dataStorage = newController(DataStorage, dataStorages, dataStorageReconciler({ fleet }), parts)
  const ofImages = newController(Image, images, imageReconciler({ fleet }), parts)
  const ofDisks = newController(Disk, disks, diskReconciler({ fleet, candidates, image, virtualMachine }), parts)
  const reconciler = virtualMachineReconciler({
    fleet,
    candidates,
    ledger,
    image,
    virtualMachine,
    now: parts.clock.now,
    ...accessDisks(parts),
  })
  const vm = newController(VirtualMachine, virtualMachines, reconciler, parts)

  watchers.push(
    watchHosts(caches, fleet, host.add),
    watchDataStorages(caches, dataStorage.add),
    watchImages(caches, ofImages.add),
    watchDisks(caches, ofDisks.add),
    watchVirtualMachines(caches, vm.add),
  )
  return [settings, host, dataStorage, ofImages, ofDisks, vm]
}

function keepLedger({ virtualMachines, disks }: Caches): Ledger {
  const ledger = newLedger()
  virtualMachines.onChange((before, after) => ledger.machineChanged(before, after))
  disks.onChange((before, after) => ledger.diskChanged(before, after))
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

type DiskAccess = Pick<
  VirtualMachineDeps,
  'disk' | 'disksOf' | 'attachedTo' | 'createDisk' | 'deleteDisk' | 'setAttachment' | 'newId' | 'newMac' | 'orders'
>

/** What the controller of machines does with disks, and the identities that it gives. */
function accessDisks({ kube, caches: { disks } }: Parts): DiskAccess {
  const writer = objectWriter(kube, Disk, FIELD_MANAGER, disks)
  const attachments = objectWriter(kube, Disk, ATTACHMENT_MANAGER, disks)
  return {
    disk: (namespace, name) => disks.get(`${namespace}/${name}`),
    disksOf: (machineId) => disks.by('maker', machineId),
    attachedTo: (machineId) => disks.by('user', machineId),
    createDisk: (manifest) => createOrGet(kube, manifest, () => writer.create(manifest)),
    async deleteDisk({ metadata }) {
      if (metadata.deletionTimestamp === undefined) await writer.delete(metadata, { uid: metadata.uid })
    },
    setAttachment: (disk, attachedTo) => attachments.applyStatus(disk, attachedTo ? { attachedTo } : {}),
    newId: () => randomUUID(),
    newMac: () => toMac(randomBytes(6)),
    orders: newOrders(),
  }
}

async function createOrGet(
  kube: Kube,
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

async function untilSynced(caches: Caches, signal: AbortSignal): Promise<void> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>()
  signal.addEventListener('abort', () => resolve(undefined), { once: true })
  const { virtualMachines, disks, images, dataStorages, hosts, platformSettings } = caches
  const all = [virtualMachines, disks, images, dataStorages, hosts, platformSettings]
  await Promise.race([aborted, Promise.all(all.map(({ synced }) => synced))])
}

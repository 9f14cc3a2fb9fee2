import {
  rootDiskName,
  VirtualMachineCondition,
  VirtualMachineReason,
  type VirtualMachine,
} from '../../../crds/virtual-machine.ts'
import type { Image } from '../../../crds/image.ts'
import { waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { place, type PlacementRequest } from '../../../policy/placement.ts'
import { sizeOf } from '../../../policy/image-use.ts'
import { toBytes } from '../../../policy/quantity.ts'
import { adoptMachine } from '../adopt.ts'
import { allocate } from '../allocate.ts'
import { decide } from '../decision.ts'
import { identityObjection } from '../identity.ts'
import { namesakeObjection } from '../namesake.ts'
import { recoverMachine } from '../recover.ts'
import { noSuchDisk } from './disks.ts'
import { wantedPower } from '../run-strategy.ts'
import type { Deps, Scope } from '../scope.ts'

/** Chooses a host and a storage, once, and with them everything that the machine is from then on. */
export const placeMachine: Phase<Scope> = {
  condition: VirtualMachineCondition.Placed,

  async run(scope) {
    const { vm, status } = scope
    const objection = identityObjection(scope) ?? namesakeObjection(scope)
    if (objection) return objection
    if (status.host !== undefined) return allocate(scope, status.host)
    const recovered = await recoverMachine(scope)
    if (recovered) return recovered
    if (vm.spec.adopt) return adoptMachine(scope, vm.spec.adopt.machineId)
    const request = requestOf(scope)
    if ('type' in request) return request

    const { candidates, ledger } = scope.deps
    ledger.release(vm) // Of an earlier choice that could not be stored.
    const placement = place(request, candidates.hosts(), candidates.storages(), candidates.settings())
    if (!placement.fits) return waiting(VirtualMachineReason.NoHostFits, placement.message)
    return bind(scope, placement, vm.spec.rootDisk.imageRef ? request.newDisk?.sizeBytes : undefined)
  },
}

function bind(scope: Scope, { host, dataStorage }: Spot, rootDiskBytes: number | undefined): Outcome {
  const { vm, status, deps } = scope
  const machineId = status.machineId ?? deps.newId()
  const rootDisk =
    dataStorage === undefined || rootDiskBytes === undefined
      ? undefined
      : { machineId, dataStorage, sizeBytes: rootDiskBytes }
  status.allocated = { cpus: vm.spec.cpus, memory: vm.spec.memory }
  deps.ledger.reserve(vm, host, rootDisk)
  status.machineId = machineId
  status.host = host
  status.rootDisk = rootDiskName(vm)
  if (dataStorage !== undefined) status.dataStorage = dataStorage
  status.networks ??= [{ mac: freeMac(deps) }]
  const power = wantedPower(vm.spec.runStrategy, status)
  status.runStrategy = vm.spec.runStrategy
  return decide(scope, power, host)
}

/** One that comes back from the recycle bin has its address still. */
function freeMac({ newMac, bin }: Pick<Deps, 'newMac' | 'bin'>): string {
  const mac = newMac()
  return bin.ofMac(mac).length > 0 ? freeMac({ newMac, bin }) : mac
}

interface Spot {
  readonly host: string
  readonly dataStorage?: string
}

/** What has to fit, or why that cannot be told. */
function requestOf(scope: Scope): PlacementRequest | Outcome {
  const { cpus, memory, placement, rootDisk } = scope.vm.spec
  const reach = reachOf(scope)
  if ('type' in reach) return reach
  const image = rootDisk.imageRef && scope.deps.image(scope.namespace, rootDisk.imageRef.name)
  return {
    cpus,
    memoryBytes: toBytes(memory),
    hostSelector: placement.hostSelector ?? {},
    ...(placement.host !== undefined && { host: placement.host }),
    ...(reach.length > 0 && { reachableFrom: reach.reduce((all, some) => all.filter((name) => some.includes(name))) }),
    ...(image && { newDisk: rootDiskOf(scope.vm, image) }),
  }
}

/** For the image and for each existing disk, the hosts that reach it. */
function reachOf(scope: Scope): (readonly string[])[] | Outcome {
  const { vm, namespace, deps } = scope
  const { spec } = vm
  const { imageRef, diskRef } = spec.rootDisk
  const reach: (readonly string[])[] = []
  if (imageRef) reach.push(deps.image(namespace, imageRef.name)?.status?.hosts ?? [])
  const refs = [...(diskRef ? [diskRef] : []), ...spec.disks.map((entry) => entry.diskRef)]
  for (const { name } of refs) {
    const disk = deps.disk(namespace, name)
    if (!disk) return noSuchDisk(scope, name)
    const host = disk.status?.host
    if (host === undefined)
      return waiting(VirtualMachineReason.DiskNotReady, `Disk ${name} is not on a data storage yet: see its conditions`)
    reach.push([host])
  }
  return reach
}

function rootDiskOf({ spec: { rootDisk } }: VirtualMachine, image: Image): { sizeBytes: number; dataStorage?: string } {
  return {
    sizeBytes: toBytes(rootDisk.size ?? sizeOf(image) ?? '0'),
    ...(rootDisk.dataStorage !== undefined && { dataStorage: rootDisk.dataStorage }),
  }
}

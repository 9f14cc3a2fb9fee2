import * as z from 'zod'
import { originOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL, makerOf, rootDiskName, VirtualMachineReason } from '../../crds/virtual-machine.ts'
import { blocked, type Outcome } from '../../lib/reconcile/outcome.ts'
import { newestFirst, recoverCommand } from '../../policy/recovery.ts'
import type { Scope } from './scope.ts'

/** Why no root disk is made: the one that the machine had is in the recycle bin, apart from the machine. */
export function binnedRootObjection(scope: Scope): Outcome | undefined {
  const { vm, namespace, status, deps } = scope
  const name = rootDiskName(vm)
  const [entry] = newestFirst(deps.bin.ofObject('Disk', namespace, name).filter((one) => isOfMachine(scope, one)))
  if (!entry) return undefined
  const next = `${recoverCommand(entry.metadata.name)}, and then set its label ${MACHINE_ID_LABEL} to ${status.machineId}`
  const message = `Disk ${name} of this machine is in the recycle bin: bring it back: ${next}`
  return blocked(VirtualMachineReason.DiskNotFound, message)
}

/** A machine that was in the bin itself may have had a disk of its name whose label somebody took off. */
function isOfMachine({ vm, status }: Scope, { spec }: RecycledResource): boolean {
  const { manifest, disks = [] } = spec.contents ?? spec.lastSeen ?? {}
  if (disks.length === 0) return false
  const maker = makerOf(labelled.safeParse(manifest).data?.metadata ?? {})
  return maker === undefined ? originOf(vm.metadata) !== undefined : maker === status.machineId
}

const labelled = z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()).optional() }) })

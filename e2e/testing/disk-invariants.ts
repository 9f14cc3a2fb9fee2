import * as z from 'zod'
import { condition, isReady, type Found } from './platform.ts'

/** Whether its guest may have disks that the machine is not to have: it was asked for them. */
export function mayKeepDisks(vm: Found): boolean {
  return ['DetachingDisk', 'GuestKeepsDisk'].includes(condition(vm, 'SpecApplied')?.reason ?? '')
}

const diskSpec = z.looseObject({ size: z.string() })
const attachment = z.looseObject({ machineId: z.string() }).optional()
const users = z.looseObject({ disks: z.array(z.object({ diskRef: z.object({ name: z.string() }) })).default([]) })

/** What is wrong with a Disk: it is not ready, smaller than it can be, or attached to a machine that does not name it. */
export function wrongDisk(disk: Found, vms: readonly Found[]): string[] {
  if (!isReady(disk)) return [`Disk ${disk.metadata.name}: ${condition(disk)?.message ?? 'new'}`]
  return [...wrongHolder(disk, vms), ...wrongSize(disk)]
}

function wrongHolder({ metadata: { name }, status }: Found, vms: readonly Found[]): string[] {
  const holder = attachment.parse(status?.['attachedTo'])?.machineId
  if (holder === undefined) return []
  const user = vms.find((vm) => vm.status?.machineId === holder)
  const isRight = user && (namesOf(user).includes(name) || mayKeepDisks(user))
  return isRight ? [] : [`Disk ${name} is attached to machine ${holder}, which does not name it`]
}

function namesOf({ spec, status }: Found): unknown[] {
  return [status?.['rootDisk'], ...users.parse(spec).disks.map(({ diskRef }) => diskRef.name)]
}

function wrongSize(disk: Found): string[] {
  const { size } = diskSpec.parse(disk['spec'])
  // Where there is no room for more, it says so.
  const isSaid = condition(disk, 'SpecApplied')?.reason === 'NoDataStorageFits'
  const shown = disk.status?.['size']
  return isSaid || shown === size ? [] : [`Disk ${disk.metadata.name} is ${String(shown)}, and not ${size}`]
}

import type { Resource } from '../../crds/kind.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { ObjectCache } from '../../lib/kube/cache.ts'
import { keyOf } from '../../lib/kube/paths.ts'

/** Has an object of a kind looked at: at once, or, if all was well with it when it was last looked at, in its turn. */
export type Enqueue = (key: string, haste?: 'AtOnce') => void

/** Calls back for every object that appears, changes or goes; with the last state of one that goes. */
export function onEvery<R extends Resource>(cache: ObjectCache<R>, look: (object: R, isGone: boolean) => void): void {
  cache.onChange((before, after) => {
    const object = after ?? before
    if (object) look(object, after === undefined)
  })
}

/**
 * Calls back when it becomes known which machine a VirtualMachine is. Until then, one of the name that a disk is attached
 * to may be the machine that has the disk, and everybody who wants the disk waits.
 */
export function onIdentity(virtualMachines: ObjectCache<VirtualMachine>, look: (vm: VirtualMachine) => void): void {
  virtualMachines.onChange((before, after) => {
    if (after && before?.status?.machineId !== after.status?.machineId) look(after)
  })
}

/** Has all of these objects looked at. */
export function enqueueAll(enqueue: Enqueue, objects: readonly Resource[], haste?: 'AtOnce'): void {
  for (const { metadata } of objects) enqueue(keyOf(metadata), haste)
}

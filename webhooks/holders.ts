import { Disk } from '../crds/disk.ts'
import type { Resource } from '../crds/kind.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { keyOf, objectPath } from '../lib/kube/paths.ts'
import { readIfThere } from '../lib/kube/read.ts'
import { disksOf } from './caches.ts'
import { MAX_NAMES } from './rules/rule.ts'

/**
 * Of the machines that hold a disk as far as was heard, those that do so now: of one that was just deleted a cache hears
 * a moment later, and a disk must not be refused for that. Throws KubeError.
 */
export async function holdersNow(
  kube: Pick<Kube, 'send'>,
  disk: Resource,
  machines: readonly string[],
): Promise<string[]> {
  // More are named in no refusal, and are not asked about.
  const looked = await Promise.all(
    machines.slice(0, MAX_NAMES).map(async (key) => {
      const [namespace = '', name = ''] = key.split('/')
      const machine = await readIfThere<VirtualMachine>(kube, objectPath(VirtualMachine, { namespace, name }))
      return machine && holds(machine, disk) ? [key] : []
    }),
  )
  return [...looked.flat(), ...machines.slice(MAX_NAMES)]
}

/** Whether a machine has a disk or asks for it, and is not being deleted itself. */
function holds(machine: VirtualMachine, { metadata, status }: Resource): boolean {
  if (machine.metadata.deletionTimestamp !== undefined) return false
  const attached = Disk.status.pick({ attachedTo: true }).safeParse(status).data?.attachedTo?.virtualMachine
  return attached === machine.metadata.name || disksOf(machine).includes(keyOf(metadata))
}

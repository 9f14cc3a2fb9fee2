import * as z from 'zod'
import { RecycledResourceReason, targetOf } from '../../crds/recycled-resource.ts'
import { MACHINE_ID_LABEL } from '../../crds/virtual-machine.ts'
import { blocked, decided, done, gone, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Found, Manifest, Place, Scope } from './scope.ts'
import { stillThere } from './still-there.ts'

/** Nobody tells that a name is free again, or that a namespace is gone. */
const LOOK_AGAIN_MS = 5_000
const RETRY_MS = 2_000

/** Decides that the object is brought back, unless another one has its name. */
export async function beginRecovery({ entry, status, deps }: Scope): Promise<Outcome> {
  const { resource } = entry.spec
  const found = await deps.read(resource)
  if (found?.metadata.uid === resource.uid) return stillThere()
  for (const { place } of partsOf(entry)) {
    if (await deps.read(place)) return nameTaken(place)
  }
  status.phase = 'Recovering'
  return decided
}

/** Makes the object anew, with its disks before it; the entry goes once they are what they were. */
export async function recover(scope: Scope): Promise<Outcome> {
  const { entry, deps } = scope
  const { namespace, name } = targetOf(entry)
  if ((await deps.makeNamespace(namespace)) === 'Terminating') {
    const message = `An older namespace ${namespace} is still being deleted`
    return waiting(RecycledResourceReason.NamespaceEnding, message, RETRY_MS)
  }
  for (const part of partsOf(entry)) {
    const outcome = await bringBack(scope, part)
    if (outcome.type !== 'done') return outcome
  }
  await deps.bin.remove(entry)
  const message = `${entry.spec.resource.kind} ${namespace}/${name} is back`
  deps.emit(entry, { type: 'Normal', reason: 'Recovered', message })
  return gone
}

interface Part {
  readonly place: Place
  readonly manifest: Manifest
  /** Whether it is what it was. */
  readonly isItself: (found: Found) => boolean
}

async function bringBack({ entry, deps }: Scope, { place, manifest, isItself }: Part): Promise<Outcome> {
  const made = await deps.create(place, manifest, entry.metadata.name)
  if (made.type === 'taken') return nameTaken(place)
  if (made.type === 'refused') {
    const message = `${place.kind} ${place.namespace}/${place.name} cannot be made: ${made.message}`
    return blocked(RecycledResourceReason.RecoveryRefused, message, LOOK_AGAIN_MS)
  }
  if (isItself(made.object)) return done
  const message = `${place.kind} ${place.namespace}/${place.name} is being brought back: see its conditions`
  return waiting(RecycledResourceReason.Recovering, message, LOOK_AGAIN_MS)
}

/** What is made anew, in this order. */
function partsOf(entry: Scope['entry']): Part[] {
  const { resource, contents } = entry.spec
  if (!contents) return []
  const { kind } = resource
  const target = targetOf(entry)
  const { machineId, disks: [held] = [] } = contents
  const manifest = stored.parse(contents.manifest)
  if (kind !== 'VirtualMachine') {
    const isItself = ({ status }: Found) => held === undefined || status?.id === held.id
    return [{ place: { kind, ...target }, manifest: withLabel(manifest, undefined), isItself }]
  }
  const root: Part[] = held?.manifest
    ? [
        {
          place: { kind: 'Disk', namespace: target.namespace, name: `${target.name}-root` },
          manifest: withLabel(stored.parse(held.manifest), machineId),
          isItself: ({ status }) => status?.id === held.id,
        },
      ]
    : []
  const isItself = ({ status }: Found) => machineId === undefined || status?.machineId === machineId
  return [...root, { place: { kind, ...target }, manifest, isItself }]
}

/** The label that names the machine which a disk was made for. Without that machine, any may have the disk. */
function withLabel(manifest: Manifest, machineId: string | undefined): Manifest {
  const { [MACHINE_ID_LABEL]: _, ...others } = manifest.metadata.labels ?? {}
  const labels = { ...others, ...(machineId !== undefined && { [MACHINE_ID_LABEL]: machineId }) }
  return { ...manifest, metadata: { ...manifest.metadata, labels } }
}

const texts = z.record(z.string(), z.string()).optional()
const stored = z.object({
  metadata: z.object({ labels: texts, annotations: texts }),
  spec: z.record(z.string(), z.unknown()),
})

function nameTaken({ kind, namespace, name }: Place): Outcome {
  return blocked(
    RecycledResourceReason.NameTaken,
    `There is another ${kind} ${namespace}/${name}: delete or rename that one, or set another name in spec.recoverAs`,
    LOOK_AGAIN_MS,
  )
}

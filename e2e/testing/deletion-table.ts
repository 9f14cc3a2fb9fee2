import { disk, imageByHttp, image, machine, withMetadata, type Manifest } from './manifests.ts'

export const recyclableKinds = ['VirtualMachine', 'Disk', 'Image'] as const
const policies = ['Immediate', 'Delayed', 'Never'] as const
const sources = ['settings', 'override'] as const
const paths = ['kubectl', 'collection', 'namespace', 'owner'] as const
/** The same delete asked for in another way: what it does may depend on that, and not on where the policy comes from. */
const variants = ['force', 'orphan', 'foreground', 'prune'] as const

export type RecyclableKind = (typeof recyclableKinds)[number]
export type Policy = (typeof policies)[number]

/** One way to delete one object. */
export interface Case {
  readonly kind: RecyclableKind
  /** The one that is to hold. */
  readonly policy: Policy
  /** Where it comes from. What the settings say is another one where it is an override. */
  readonly source: (typeof sources)[number]
  readonly path: (typeof paths | typeof variants)[number]
  /** Under which settings: 0, 1 or 2. */
  readonly round: number
  /** All that belongs to it is there, and nothing else. */
  readonly namespace: string
}

/** Name of the object that is deleted, and of the ConfigMap that owns it where it goes with its owner. */
export const SUBJECT = 'subject'
export const OWNER = 'owner'

const plurals = { VirtualMachine: 'virtualmachines', Disk: 'disks', Image: 'images' } as const
const settingNames = { VirtualMachine: 'virtualMachine', Disk: 'disk', Image: 'image' } as const

export function pluralOf({ kind }: Pick<Case, 'kind'>): string {
  return plurals[kind]
}

/** Every kind under every policy, from either source, on every path; in every variant from the settings alone. */
export const cases: readonly Case[] = recyclableKinds.flatMap((kind) =>
  policies.flatMap((policy) =>
    sources.flatMap((source) =>
      [...paths, ...(source === 'settings' ? variants : [])].map((path) => {
        const namespace = [kind, policy, source, path].join('-').toLowerCase()
        return { kind, policy, source, path, round: roundOf(kind, policy, source), namespace }
      }),
    ),
  ),
)

/** Each round has another policy for each kind, so that after three of them each kind had all. */
function policyIn(round: number, kind: RecyclableKind): Policy {
  return policies[(recyclableKinds.indexOf(kind) + round) % policies.length] ?? 'Delayed'
}

function roundOf(kind: RecyclableKind, policy: Policy, source: Case['source']): number {
  const shift = policies.indexOf(policy) - recyclableKinds.indexOf(kind) + policies.length
  return (shift + (source === 'override' ? 1 : 0)) % policies.length
}

/** `spec.deletion` of PlatformSettings in a round. */
export function deletionIn(round: number): object {
  return Object.fromEntries(
    recyclableKinds.map((kind) => [settingNames[kind], { policy: policyIn(round, kind), confirmation: 'None' }]),
  )
}

/** The object that is deleted. `ownerUid` is that of its ConfigMap; an Image is downloaded from `url`. */
export function subjectOf(one: Case, ownerUid: string, { url, checksum }: { url: string; checksum: string }): Manifest {
  const { namespace, path, source, policy } = one
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: OWNER, uid: ownerUid }
  const metadata = {
    namespace,
    labels: { part: SUBJECT },
    ...(path === 'owner' && { ownerReferences: [owner] }),
    // Nothing is pruned that was not applied.
    ...(path === 'prune' && { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' } }),
  }
  const override = source === 'override' ? { deletionPolicy: policy } : {}
  const made = {
    VirtualMachine: machine(SUBJECT, {
      memory: '16Mi',
      rootDisk: { imageRef: { name: 'base' } },
      runStrategy: 'Halted',
    }),
    Disk: disk(SUBJECT, { size: '1Mi' }),
    Image: imageByHttp(SUBJECT, url, checksum),
  }[one.kind]
  return withMetadata({ ...made, spec: { ...made.spec, ...override } }, metadata)
}

/** How kubectl is told to delete in that way. */
export const optionsOf: Partial<Record<Case['path'], readonly string[]>> = {
  kubectl: [],
  force: ['--grace-period=0', '--force'],
  orphan: ['--cascade=orphan'],
  foreground: ['--cascade=foreground'],
}

/** All that is applied where the object is to be pruned: its labels are those of the object, and it is another one. */
export function restOf({ namespace }: Case): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'rest', namespace, labels: { part: SUBJECT } } }
}

/** What it needs besides. */
export function companionsOf({ kind, namespace }: Case, file: string): Manifest[] {
  return kind === 'VirtualMachine' ? [withMetadata(image('base', file), { namespace })] : []
}

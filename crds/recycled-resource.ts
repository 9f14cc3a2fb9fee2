import * as z from 'zod'
import {
  ageColumn,
  baseStatus,
  cel,
  givenName,
  messageColumn,
  objectName,
  quantity,
  type ObjectMeta,
} from './common.ts'
import { deletionPolicy, retention } from './deletion.ts'
import { defineKind, type Resource } from './kind.ts'

const deleted = z.object({
  apiVersion: z.string().max(128).describe('Group and version of the object.'),
  kind: z.enum(['VirtualMachine', 'Disk', 'Image']).describe('Kind of the object.'),
  namespace: objectName.describe('Namespace that it was in.'),
  name: objectName.describe('Name that it had.'),
  uid: z.uuid().describe('Its uid, which is the name of this entry too.'),
})

const deletion = cel(
  z.object({
    by: z.string().max(512).describe('Who deleted it, as the API server knows them.'),
    at: z.iso.datetime().describe('When, by the clock of the API server.'),
    policy: deletionPolicy.describe('The policy that held in that moment.'),
    retention: retention.optional().describe('How long it is kept. Absent when it is not Delayed.'),
    purgeAt: z.iso
      .datetime()
      .optional()
      .describe('When it is destroyed, by the clock of the API server. Absent when it is not Delayed.'),
  }),
  {
    rule: "has(self.purgeAt) == (self.policy == 'Delayed')",
    message: 'only what is Delayed has a time at which it is destroyed: give purgeAt with the policy Delayed alone',
  },
)

/** Atomic, so that the API server does not note the owner of each field in it. */
const manifest = z.looseObject({}).meta({
  'x-kubernetes-preserve-unknown-fields': true,
  'x-kubernetes-map-type': 'atomic',
  maxProperties: 8,
})

const disk = z.object({
  name: objectName.describe('Name of its Disk.'),
  uid: z.uuid().describe('Uid of its Disk.'),
  id: z.uuid().describe('Name of its file.'),
  dataStorage: objectName.describe('DataStorage that it is on.'),
  size: quantity.describe('Its size.'),
  manifest: manifest.optional().describe('The Disk as it was.'),
})

const contents = z.object({
  manifest: manifest.describe('The object as it was applied: without its status and what the API server added.'),
  machineId: z.uuid().optional().describe('Identity of the machine, which it keeps when it is recovered.'),
  host: objectName.optional().describe('Host that has its disks.'),
  decision: z
    .object({
      id: z.uuid().describe('Identity of the decision.'),
      epoch: z.int().min(1).describe('Its epoch, which the next one goes on from.'),
    })
    .optional()
    .describe('The decision under which its host forgot the machine.'),
  download: z
    .object({
      sha256: z.string().max(64).describe('Digest of the file.'),
      hosts: z.array(objectName).max(1024).describe('Hosts that were told to download it.'),
    })
    .optional()
    .describe('What hosts downloaded for an Image, and keep for it.'),
  disks: z.array(disk).max(17).optional().describe('Disks in this entry, the root disk first.'),
  snapshots: z
    .array(z.object({ name: objectName.describe('Name of the snapshot.') }))
    .max(256)
    .optional()
    .describe('Snapshots in this entry.'),
  addresses: z
    .array(
      z.object({
        mac: z.string().max(17).describe('Ethernet address of the card.'),
        ip: z.string().max(45).optional().describe('Fixed IP address.'),
      }),
    )
    .max(64)
    .optional()
    .describe('Addresses that are kept for it.'),
})

const namespaceName = cel(z.string().min(1).max(63), {
  rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
  message: 'write the name of a namespace: small letters, digits and dashes, with a letter or a digit at both ends',
})

/** What a user may write to an entry; all else of it is written by Holdfast alone. */
export const RECYCLED_USER_FIELDS = ['action', 'recoverAs'] as const

const isIn = (phase: string) => `has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase == '${phase}'`
const isBinned = "has(oldSelf.status) && has(oldSelf.status.phase) && oldSelf.status.phase != 'Pending'"
const same = (field: string) =>
  `has(self.spec.${field}) == has(oldSelf.spec.${field}) && (!has(self.spec.${field}) || self.spec.${field} == oldSelf.spec.${field})`

export const RecycledResource = defineKind({
  group: 'platform.holdfast.dev',
  version: 'v1alpha1',
  kind: 'RecycledResource',
  plural: 'recycledresources',
  shortNames: ['recycled'],
  scope: 'Cluster',
  description:
    'What was deleted and can still be brought back: an entry of the recycle bin. It is outside of every namespace, so that deleting a namespace loses nothing.',
  spec: cel(
    z.object({
      resource: cel(deleted, {
        rule: 'self == oldSelf',
        message: 'an entry stands for one object: leave it as it was',
      }).describe('What was deleted.'),
      deletion: deletion.describe('How it was deleted. Fixed in that moment.'),
      contents: contents.optional().describe('What is needed to bring it back. Absent while the phase is Pending.'),
      lastSeen: contents
        .optional()
        .describe(
          'A Disk or an Image as its delete found it, or a VirtualMachine whose policy is Never: what is kept of one that goes without being put away. Absent once contents are there.',
        ),
      action: z
        .enum(['Recover', 'Purge'])
        .optional()
        .describe('Recover: brings it back. Purge: destroys it now. Each needs the permission of that name.'),
      recoverAs: z
        .object({
          namespace: namespaceName.optional().describe('Namespace to bring it back to. Without it, its own.'),
          name: givenName.optional().describe('Name to bring it back under. Without it, its own.'),
        })
        .optional()
        .describe('Where to bring it back to. Read with action Recover, until the first object is made there.'),
    }),
    {
      rule: "!has(self.action) || self.action != 'Purge' || self.deletion.policy != 'Never'",
      message:
        'its deletion policy is Never, so nobody can destroy it from here: recover it with spec.action Recover, then delete it under another spec.deletionPolicy',
    },
  ),
  status: z.object({
    ...baseStatus,
    phase: z
      .enum(['Pending', 'Binned', 'Recovering', 'Purging'])
      .optional()
      .describe('Pending, as without it: the object is still being put away. Binned: it can be brought back.'),
    recoveringAs: z
      .object({
        namespace: objectName.describe('Namespace of the object.'),
        name: objectName.describe('Name of the object.'),
      })
      .optional()
      .describe(
        'The object that it is brought back as, where that was made by a manifest which asked for it. Set with the phase Recovering, in place of spec.recoverAs.',
      ),
    recoverTo: z
      .object({
        namespace: objectName.describe('Namespace of the object.'),
        name: objectName.describe('Name of the object.'),
      })
      .optional()
      .describe(
        'What it is brought back as by spec.action. Set with the phase Recovering, so that nothing which was begun moves with spec.recoverAs.',
      ),
  }),
  rules: [
    {
      rule: `!(${isBinned}) || (self.spec.deletion == oldSelf.spec.deletion && ${same('contents')})`,
      message: 'what was deleted, how and when is fixed: change spec.action and spec.recoverAs alone',
    },
    { rule: `!(${isIn('Purging')}) || self.spec == oldSelf.spec`, message: 'it is being destroyed: wait for its end' },
    {
      rule: `!(${isIn('Recovering')}) || self.spec == oldSelf.spec || (has(oldSelf.status.recoverTo) && (!has(self.spec.action) || (${same('action')})))`,
      message:
        'it is being brought back: wait for its end; what spec.action asked for can be called off by taking spec.action away, or moved by spec.recoverAs, which counts while nothing was made for it',
    },
    {
      rule: `(${same('recoverAs')}) || !has(self.spec.recoverAs) || !has(self.spec.recoverAs.name) || self.spec.resource.kind != 'VirtualMachine' || size(self.spec.recoverAs.name) <= 63`,
      message: 'write a name of at most 63 characters into spec.recoverAs: a VirtualMachine has no longer one',
    },
    { rule: 'self.metadata.name == self.spec.resource.uid', message: 'name the entry after spec.resource.uid' },
  ],
  columns: [
    { name: 'Kind', type: 'string', jsonPath: '.spec.resource.kind' },
    { name: 'Namespace', type: 'string', jsonPath: '.spec.resource.namespace' },
    { name: 'Object', type: 'string', jsonPath: '.spec.resource.name' },
    { name: 'Policy', type: 'string', jsonPath: '.spec.deletion.policy' },
    { name: 'Purge at', type: 'string', jsonPath: '.spec.deletion.purgeAt' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Deleted by', type: 'string', jsonPath: '.spec.deletion.by', priority: 1 },
    { name: 'Owner', type: 'string', jsonPath: String.raw`.metadata.labels.holdfast\.dev/owner`, priority: 1 },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: ['.spec.resource.kind', '.spec.resource.namespace', '.spec.resource.name'],
})
export type RecycledResource = Resource<typeof RecycledResource>

/** A kind that has a recycle bin. */
export type RecyclableKind = z.output<typeof deleted>['kind']

/** Condition types, in the order they become true. */
export const RecycledResourceCondition = {
  PutAway: 'PutAway',
  ActionPossible: 'ActionPossible',
} as const

/** Reasons used with the conditions above. Part of the API: never rename one. */
export const RecycledResourceReason = {
  PuttingAway: 'PuttingAway',
  NameTaken: 'NameTaken',
  NamespaceEnding: 'NamespaceEnding',
  RecoveryRefused: 'RecoveryRefused',
  Recovering: 'Recovering',
  PurgePostponed: 'PurgePostponed',
  InUse: 'InUse',
  HostNotFound: 'HostNotFound',
  HostUnreachable: 'HostUnreachable',
  HostRefused: 'HostRefused',
} as const

/** Reasons of an object that is to come from the recycle bin. */
export const OriginReason = {
  Recovering: 'Recovering',
  NotRecoverable: 'NotRecoverable',
} as const

/** On a manifest: the name of the entry that is to be brought back as the object which it makes. */
export const RECOVER_ANNOTATION = 'holdfast.dev/recover'

/**
 * On an object that comes from the recycle bin: the name of the entry. Set by the controllers on what they make anew, and
 * by admission on what a manifest makes; nobody else sets or changes it.
 */
export const RECOVERED_FROM_ANNOTATION = 'holdfast.dev/recovered-from'

/** Name of the entry of the recycle bin that an object says it came from. */
export function originOf({ annotations }: ObjectMeta): string | undefined {
  return annotations?.[RECOVERED_FROM_ANNOTATION]
}

/** Where an entry is brought back to: where that was begun, or else as `wantedOf` says. */
export function targetOf(entry: RecycledResource): Target {
  const { recoveringAs, recoverTo } = entry.status ?? {}
  const { namespace, name } = recoveringAs ?? recoverTo ?? wantedOf(entry)
  return { namespace, name }
}

/** Where `spec.action` is to bring an entry back to. */
export function wantedOf({ spec: { resource, recoverAs } }: RecycledResource): Target {
  const { namespace = resource.namespace, name = resource.name } = recoverAs ?? {}
  return { namespace, name }
}

interface Target {
  readonly namespace: string
  readonly name: string
}

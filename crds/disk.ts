import * as z from 'zod'
import {
  ageColumn,
  baseStatus,
  cel,
  givenName,
  localRef,
  messageColumn,
  quantity,
  readyColumns,
  size,
} from './common.ts'
import { deletionPolicyOverride } from './deletion.ts'
import { defineKind, type Resource } from './kind.ts'
import { OriginReason } from './recycled-resource.ts'

const kept = <S extends z.ZodType>(schema: S) =>
  cel(schema, {
    rule: 'self == oldSelf',
    message: 'status says which file the disk is, and where: leave it as it was',
  })

const isAtLeast = (field: string) =>
  `(isQuantity(${field}) && quantity(self.spec.size).compareTo(quantity(${field})) >= 0)`

// Once there is room, that is stored before the host is told: what it was told to do cannot be taken back.
const hasNoRoom =
  "(has(oldSelf.status) && has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(c, c.type == 'SpecApplied' && c.reason == 'NoDataStorageFits'))"

export const Disk = defineKind({
  group: 'storage.holdfast.dev',
  version: 'v1alpha1',
  kind: 'Disk',
  plural: 'disks',
  shortNames: ['hfdisk'],
  scope: 'Namespaced',
  description: 'A disk of a virtual machine, kept as a qcow2 file on a data storage. It lives on without a machine.',
  finalizer: 'storage.holdfast.dev/disk',
  spec: cel(
    z.object({
      size: size.describe(
        'Size that the guest sees, for example 20Gi. It can grow later, never shrink. What there was no room for can be taken back.',
      ),
      dataStorage: cel(givenName, {
        rule: 'self == oldSelf',
        message: 'a disk stays on its data storage; create another Disk',
      })
        .optional()
        .describe('DataStorage to keep it on. Without it, the one with the most space.'),
      source: cel(
        z.object({
          image: localRef.optional().describe('Image that the disk starts as a copy of.'),
          existing: z
            .object({ id: z.uuid().describe('Name of the file, without its ending.') })
            .optional()
            .describe(
              'File on spec.dataStorage that is there already and that no Disk stands for: one of an orphan that was started in the same namespace. It is used as it is.',
            ),
        }),
        {
          rule: 'has(self.image) != has(self.existing)',
          message:
            'name the image in source.image, or a file that is there in source.existing, or leave source out for a blank disk',
        },
        { rule: 'self == oldSelf', message: 'source cannot be changed; create another Disk' },
      )
        .optional()
        .describe('What the disk starts with. Without it, the disk is blank.'),
      deletionPolicy: deletionPolicyOverride,
    }),
    {
      rule: '!has(self.source) || !has(self.source.existing) || has(self.dataStorage)',
      message: 'say in dataStorage where the existing file is',
    },
    { rule: 'has(oldSelf.source) == has(self.source)', message: 'source cannot be changed; create another Disk' },
    {
      rule: '!has(oldSelf.dataStorage) || has(self.dataStorage)',
      message: 'a disk stays on its data storage; keep dataStorage as it was',
    },
  ),
  status: z.object({
    ...baseStatus,
    id: kept(z.uuid()).optional().describe('Name of its file on the data storage.'),
    host: kept(z.string().max(253)).optional().describe('Host that reaches it.'),
    dataStorage: kept(z.string().max(253)).optional().describe('DataStorage it is kept on.'),
    size: quantity.optional().describe('Size that it really has.'),
    attachedTo: z
      .object({
        virtualMachine: z.string().max(253).describe('Name of the machine, in the same namespace.'),
        machineId: z.uuid().describe('Identity of the machine.'),
      })
      .optional()
      .describe('The one machine that may open it.'),
    heldBy: z
      .object({
        machineId: z.uuid().describe('Identity of the machine.'),
        name: z
          .string()
          .max(320)
          .optional()
          .describe(
            'VirtualMachine that it was started for, as namespace/name. Absent when that is in another namespace.',
          ),
      })
      .optional()
      .describe(
        'Machine of the host that has the file although the disk is not attached to it, as an orphan or one that was given the disk after the state was stored that the platform was restored from. No other machine gets the disk, and it is not deleted, until that one lets it go.',
      ),
  }),
  rules: [
    {
      rule: `!isQuantity(self.spec.size) || ${isAtLeast('oldSelf.spec.size')} || (${hasNoRoom} && has(oldSelf.status.size) && ${isAtLeast('oldSelf.status.size')})`,
      message:
        'a disk can only grow; to have a smaller one, create another Disk; a size that there was no room for can be taken back, down to status.size',
    },
    {
      rule: '!has(oldSelf.status) || !has(oldSelf.status.id) || (has(self.status) && has(self.status.id) && has(self.status.host) == has(oldSelf.status.host) && has(self.status.dataStorage) == has(oldSelf.status.dataStorage))',
      message: 'status says which file the disk is, and where: leave it as it was',
    },
    {
      rule: '!has(self.status) || !has(self.status.dataStorage) || !has(self.spec.dataStorage) || self.spec.dataStorage == self.status.dataStorage',
      message: 'the disk is on another data storage already; leave spec.dataStorage out, or create another Disk',
    },
  ],
  columns: [
    ...readyColumns,
    { name: 'Size', type: 'string', jsonPath: '.status.size' },
    { name: 'Storage', type: 'string', jsonPath: '.status.dataStorage' },
    { name: 'Attached to', type: 'string', jsonPath: '.status.attachedTo.virtualMachine' },
    { name: 'Host', type: 'string', jsonPath: '.status.host', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: ['.status.dataStorage'],
})
export type Disk = Resource<typeof Disk>

/** What hosts call the file of a disk. */
export function fileIdOf({ metadata, status }: Disk): string {
  return status?.id ?? metadata.uid
}

/** Condition types, in the order they become true. */
export const DiskCondition = {
  ImageReady: 'ImageReady',
  Placed: 'Placed',
  Provisioned: 'Provisioned',
  SpecApplied: 'SpecApplied',
  CleanedUp: 'CleanedUp',
} as const

/** Reasons used with the conditions above. Part of the API: never rename one. */
export const DiskReason = {
  ImageNotFound: 'ImageNotFound',
  ImageNotReady: 'ImageNotReady',
  DiskTooSmall: 'DiskTooSmall',
  DataStorageNotFound: 'DataStorageNotFound',
  DataStorageNotReady: 'DataStorageNotReady',
  NoDataStorageFits: 'NoDataStorageFits',
  HostNotFound: 'HostNotFound',
  HostUnreachable: 'HostUnreachable',
  HostRefused: 'HostRefused',
  Creating: 'Creating',
  Growing: 'Growing',
  RestartRequired: 'RestartRequired',
  InUse: 'InUse',
  AdoptionRefused: 'AdoptionRefused',
  FileMissing: 'FileMissing',
  PuttingAway: 'PuttingAway',
  ...OriginReason,
} as const

import * as z from 'zod'
import { ageColumn, baseStatus, cel, givenName, messageColumn, quantity, readyColumns } from './common.ts'
import { defineKind, type Resource } from './kind.ts'

export const DataStorage = defineKind({
  group: 'storage.holdfast.dev',
  version: 'v1alpha1',
  kind: 'DataStorage',
  plural: 'datastorages',
  shortNames: ['hfds'],
  scope: 'Cluster',
  description: 'A place where disks are kept. A local one is a folder on one host.',
  spec: z.object({
    type: z.enum(['Local']).default('Local').describe('Local: a folder on one host.'),
    local: cel(
      z.object({
        host: givenName.describe('Host that the folder is on.'),
        path: cel(z.string().max(512), {
          rule: "self.startsWith('/') && !self.substring(1).split('/').exists(part, part in ['', '.', '..'])",
          message:
            'write the absolute path of a folder of its own, such as /srv/holdfast/disks, without . or .. and without // or a / at its end',
        }).describe(
          'Absolute path of a folder that exists. Holdfast never creates it, so that a missing mount is noticed.',
        ),
      }),
      { rule: 'self == oldSelf', message: 'a data storage stays where it is; create another DataStorage' },
    ).describe('Where a Local storage is.'),
  }),
  status: z.object({
    ...baseStatus,
    capacity: quantity
      .optional()
      .describe('Size of the file system, rounded; written only when it moves by a hundredth.'),
    available: quantity
      .optional()
      .describe('Free space, rounded; written only when it moves by a twentieth of the capacity.'),
  }),
  columns: [
    ...readyColumns,
    { name: 'Host', type: 'string', jsonPath: '.spec.local.host' },
    { name: 'Capacity', type: 'string', jsonPath: '.status.capacity' },
    { name: 'Available', type: 'string', jsonPath: '.status.available' },
    { name: 'Path', type: 'string', jsonPath: '.spec.local.path', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: [],
})
export type DataStorage = Resource<typeof DataStorage>

/** Condition types, in the order they become true. */
export const DataStorageCondition = { Usable: 'Usable' } as const

/** Reasons used with the condition above. Part of the API: never rename one. */
export const DataStorageReason = {
  HostNotFound: 'HostNotFound',
  HostUnreachable: 'HostUnreachable',
  HostRefused: 'HostRefused',
  PathMissing: 'PathMissing',
  NotADirectory: 'NotADirectory',
  NotWritable: 'NotWritable',
  NotPassable: 'NotPassable',
  NotOurs: 'NotOurs',
  Full: 'Full',
} as const

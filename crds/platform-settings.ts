import * as z from 'zod'
import { ageColumn, baseStatus, readyColumns } from './common.ts'
import { defineKind, type Resource } from './kind.ts'

export const PlatformSettings = defineKind({
  group: 'platform.holdfast.dev',
  version: 'v1alpha1',
  kind: 'PlatformSettings',
  plural: 'platformsettings',
  shortNames: ['hfsettings'],
  scope: 'Cluster',
  description: 'Settings of the whole platform. There is one, named default; without it, the defaults hold.',
  spec: z.object({
    placement: z
      .object({
        cpuOvercommitPercent: z
          .int32()
          .min(100)
          .max(3200)
          .default(1000)
          .describe('Virtual CPUs that a host takes, in percent of its own CPUs.'),
        memoryOvercommitPercent: z
          .int32()
          .min(50)
          .max(400)
          .default(100)
          .describe('Guest memory that a host takes, in percent of its own memory less what it keeps for itself.'),
        reservedMemoryMi: z
          .int32()
          .min(0)
          .max(1048576)
          .default(1024)
          .describe('Memory in MiB that each host keeps for itself, but never more than a quarter of what it has.'),
        storageOvercommitPercent: z
          .int32()
          .min(100)
          .max(3200)
          .default(200)
          .describe(
            'Sum of disk sizes that a data storage takes, in percent of its capacity. Disks grow as they are written.',
          ),
      })
      .prefault({})
      .describe('How much is placed on hosts and data storages.'),
  }),
  status: z.object({ ...baseStatus }),
  rules: [{ rule: "self.metadata.name == 'default'", message: 'there is one PlatformSettings: name it default' }],
  columns: [...readyColumns, ageColumn],
  selectableFields: [],
})
export type PlatformSettings = Resource<typeof PlatformSettings>

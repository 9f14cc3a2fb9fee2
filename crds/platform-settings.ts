import * as z from 'zod'
import { ageColumn, baseStatus, cel, readyColumns, size } from './common.ts'
import { deletionSettings } from './deletion.ts'
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
    imports: z
      .object({
        allowedNetworks: z
          .array(
            cel(z.string().max(64), {
              rule: 'isCIDR(self)',
              message: 'write a network in CIDR notation, such as 10.20.0.0/16 or fd00::/8',
            }),
          )
          .max(64)
          .default([])
          .describe(
            'Networks that images may be downloaded from although they are not public, such as 10.20.0.0/16. Hosts reach more than users do: allow only servers of images.',
          ),
        maxImageSize: size.default('64Gi').describe('Largest file that is downloaded, or taken from an import folder.'),
      })
      .prefault({})
      .describe('What images may be downloaded.'),
    deletion: deletionSettings.describe('What a delete does, and what it needs.'),
  }),
  status: z.object({ ...baseStatus }),
  rules: [{ rule: "self.metadata.name == 'default'", message: 'there is one PlatformSettings: name it default' }],
  columns: [...readyColumns, ageColumn],
  selectableFields: [],
})
export type PlatformSettings = Resource<typeof PlatformSettings>

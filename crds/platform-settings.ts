import * as z from 'zod'
import { MAX_PERSON } from './brake-record.ts'
import { ageColumn, baseStatus, cel, readyColumns, size } from './common.ts'
import { deletionSettings } from './deletion.ts'
import { defineKind, type Resource } from './kind.ts'

const BRAKES_OPEN = 'BrakesOpen'

/** The status lists so many brakes, and counts the rest. */
export const MAX_BRAKES = 32

const heldBrake = z.object({
  person: z.string().max(MAX_PERSON).describe('Whose deletes are refused, as the API server knows them.'),
  kind: z.string().max(63).describe('Kind of the objects.'),
  since: z.iso.datetime().describe('When the brake latched.'),
  letThrough: z.int32().min(0).describe('Deletes that were let through before.'),
  lastRefusedAt: z.iso.datetime().describe('When one was last refused; written down once a minute.'),
  opensAt: z.iso
    .datetime()
    .describe('When it lets that person through again, if no further attempt comes and nobody releases it before.'),
})
export type HeldBrake = z.output<typeof heldBrake>

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
  status: z.object({
    ...baseStatus,
    brakeCount: z.int32().optional().describe('Number of mass-delete brakes that hold.'),
    brakes: z
      .array(heldBrake)
      .max(MAX_BRAKES)
      .optional()
      .describe(
        `Mass-delete brakes that hold, the latest first; at most ${MAX_BRAKES} of them. Release one with spec.deletion.brakeReleases.`,
      ),
  }),
  rules: [{ rule: "self.metadata.name == 'default'", message: 'there is one PlatformSettings: name it default' }],
  columns: [
    ...readyColumns,
    { name: 'Brakes', type: 'integer', jsonPath: '.status.brakeCount' },
    {
      name: 'Held',
      type: 'string',
      jsonPath: `.status.conditions[?(@.type=="${BRAKES_OPEN}")].message`,
      priority: 1,
    },
    ageColumn,
  ],
  selectableFields: [],
})
export type PlatformSettings = Resource<typeof PlatformSettings>

/** Condition types, in the order they become true. */
export const PlatformSettingsCondition = { BrakesOpen: BRAKES_OPEN } as const

/** Reasons used with the conditions above. Part of the API: never rename one. */
export const PlatformSettingsReason = { BrakeLatched: 'BrakeLatched' } as const

import * as z from 'zod'
import { cel, givenTime } from './common.ts'

/** Immediate: destroyed at once. Delayed: kept in the recycle bin for a while. Never: kept there for good. */
export const deletionPolicy = z.enum(['Immediate', 'Delayed', 'Never'])
export type DeletionPolicy = z.output<typeof deletionPolicy>

/** `spec.deletionPolicy` of the kinds that have a recycle bin. Setting it needs the verb setDeletionPolicy. */
export const deletionPolicyOverride = deletionPolicy
  .optional()
  .describe(
    'What a delete does to what this object stands for. Immediate: it is destroyed at once. Delayed: it is kept in the recycle bin, and destroyed after the retention in PlatformSettings. Never: it is kept there for good. Without it, PlatformSettings decides by kind. What holds in the moment of the delete counts. Setting it needs the permission setDeletionPolicy.',
  )

/** How long the recycle bin keeps something, as users write it. */
export const retention = cel(z.string().max(6), {
  rule: "self.matches('^([1-9][0-9]{1,4}s|[1-9][0-9]{0,4}[mh]|[1-9][0-9]{0,3}d)$')",
  message: 'write a whole number with s, m, h or d, from 10s to 9999d, such as 7d',
})

/** Names the owner of an object: what admission made of the name of who created it. */
export const OWNER_LABEL = 'holdfast.dev/owner'
/** Holds the token that a delete needs where PlatformSettings wants a confirmation. */
export const CONFIRM_ANNOTATION = 'holdfast.dev/confirm-delete'
/** On a manifest: what to do when its name is in the recycle bin, in place of what PlatformSettings say. */
export const ON_NAME_REUSE_ANNOTATION = 'holdfast.dev/on-name-reuse'

export const onNameReuse = z.enum(['Fresh', 'Restore', 'Deny'])
export type OnNameReuse = z.output<typeof onNameReuse>

const confirmation = z.enum(['Required', 'None'])
export type Confirmation = z.output<typeof confirmation>

const CONFIRMATION =
  'Required: a delete needs the annotation holdfast.dev/confirm-delete with a token that the refusal prints. None: it does not.'

const recyclable = (retentionByDefault: string) =>
  z
    .object({
      policy: deletionPolicy
        .default('Delayed')
        .describe(
          'Immediate: destroyed at once. Delayed: kept in the recycle bin for the retention. Never: kept there for good.',
        ),
      retention: retention
        .default(retentionByDefault)
        .describe('How long the recycle bin keeps what is deleted under the policy Delayed.'),
      confirmation: confirmation
        .optional()
        .describe(`${CONFIRMATION} Without it: Required where the delete destroys at once.`),
    })
    .prefault({})

const confirmed = z.object({ confirmation: confirmation.default('Required').describe(CONFIRMATION) }).prefault({})

const brake = z
  .object({
    deletes: z.int32().min(1).max(1000).default(20).describe('Deletes that are let through.'),
    seconds: z.int32().min(1).max(3600).default(60).describe('Seconds within which they are counted.'),
  })
  .prefault({})

/**
 * Kinds of which nobody deletes many at once, and entries of the recycle bin, of which nobody purges many: admission
 * counts them by person.
 */
export const brakedKindNames = ['VirtualMachine', 'Disk', 'Image', 'Host', 'DataStorage', 'RecycledResource'] as const

const release = z.object({
  person: z.string().min(1).max(512).describe('User name, as the API server knows it.'),
  kind: z.enum(brakedKindNames).describe('Kind whose deletes are let through again; RecycledResource for purges.'),
  until: givenTime.describe('Until when nothing is counted. What was stopped before then goes on.'),
})

/** `PlatformSettings.spec.deletion`. */
export const deletionSettings = z
  .object({
    virtualMachine: recyclable('7d').describe('What a delete of a VirtualMachine does.'),
    disk: recyclable('3d').describe('What a delete of a Disk does.'),
    image: recyclable('3d').describe('What a delete of an Image does.'),
    host: confirmed.describe('What a delete of a Host needs.'),
    dataStorage: confirmed.describe('What a delete of a DataStorage needs.'),
    brake: brake.describe(
      'Stops a mass deletion: what one person deletes of one kind, or purges of the recycle bin, beyond this number within this time is refused, until somebody with the permission bulkDelete releases it, or no attempt came for an hour.',
    ),
    brakeReleases: z
      .array(release)
      .max(64)
      .default([])
      .describe('Who is let through again after the brake. Adding one needs the permission bulkDelete on that kind.'),
    onNameReuse: onNameReuse
      .default('Fresh')
      .describe(
        'What a create does whose name is in the recycle bin. Fresh: it makes a new object, with a warning. Restore: it brings the newest of that name back, with its disks and identity, which needs the permission recover. Deny: it is refused. The annotation holdfast.dev/on-name-reuse of a manifest says otherwise for one object.',
      ),
  })
  .prefault({})
export type DeletionSettings = z.output<typeof deletionSettings>

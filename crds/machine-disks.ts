import * as z from 'zod'
import { cel, givenName, localRef, size } from './common.ts'

/** `spec.rootDisk` of a VirtualMachine. */
export const rootDisk = cel(
  z.object({
    imageRef: localRef
      .optional()
      .describe(
        'Image that the root disk starts as a copy of. The disk is a Disk named after the machine, with -root.',
      ),
    diskRef: localRef.optional().describe('Existing Disk to boot from, instead of an image.'),
    size: size.optional().describe("Size of the new root disk, for example 20Gi. Without it, the image's own size."),
    dataStorage: givenName
      .optional()
      .describe('DataStorage for the new root disk. Without it, one that the chosen host reaches.'),
  }),
  {
    rule: 'has(self.imageRef) != has(self.diskRef)',
    message: 'name either imageRef, to make a new root disk, or diskRef, to boot from an existing Disk',
  },
  {
    rule: 'has(self.imageRef) || !(has(self.size) || has(self.dataStorage))',
    message: 'size and dataStorage belong to a new disk: use them with imageRef, not with diskRef',
  },
  {
    rule: 'self == oldSelf',
    message: 'rootDisk cannot be changed; to grow the disk, change spec.size of its Disk; else create another machine',
  },
)

/** Disks that a machine can have besides its root disk. */
export const MAX_FURTHER_DISKS = 16

/** An entry of `spec.disks` of a VirtualMachine. */
export const furtherDisk = z.object({
  diskRef: localRef.describe('Disk to attach.'),
  // No default: what the server fills in within a list, kubectl apply would take out again each time.
  deleteWithVirtualMachine: z
    .boolean()
    .optional()
    .describe(
      'Whether a delete of the machine takes the Disk along, into the same entry of the recycle bin and under the same policy; it comes back with the machine. Without it, the Disk is detached and stays; so it is where the Disk belongs to another owner, is named by another machine, or is not attached to this one, or where its own deletionPolicy keeps it longer. To set it takes the permission delete on the Disk.',
    ),
})

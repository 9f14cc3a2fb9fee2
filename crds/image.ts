import * as z from 'zod'
import { ageColumn, baseStatus, cel, messageColumn, objectName, quantity, readyColumns } from './common.ts'
import { defineKind, type Resource } from './kind.ts'

export const Image = defineKind({
  group: 'storage.holdfast.dev',
  version: 'v1alpha1',
  kind: 'Image',
  plural: 'images',
  shortNames: ['hfimg'],
  scope: 'Namespaced',
  description: 'A disk image that disks are made from. It is checked before anything uses it, and never changes.',
  spec: cel(
    z.object({
      source: z
        .object({
          file: z
            .object({
              path: cel(z.string().max(512), {
                rule: "!self.startsWith('/') && !self.split('/').exists(part, part in ['', '.', '..'])",
                message:
                  "write a path below the host's import folder, such as debian-12.qcow2, without a leading / and without ..",
              }).describe('Path of the file below the import folder of the host.'),
              host: objectName
                .optional()
                .describe('Host that has the file. Without it, every host that has it counts.'),
            })
            .describe("A file in the import folder that the host's agent is configured with."),
        })
        .describe('Where the image comes from.'),
      format: z
        .enum(['qcow2', 'raw'])
        .default('qcow2')
        .describe('Format of the file. It is never guessed: a raw disk that pretends to be qcow2 would be dangerous.'),
      checksum: cel(z.string().max(71), {
        rule: "self.matches('^sha256:[0-9a-f]{64}$')",
        message: 'write sha256: and the 64 lowercase hexadecimal digits that sha256sum prints',
      })
        .optional()
        .describe('Expected digest of the file. When it differs, the image is refused.'),
    }),
    { rule: 'self == oldSelf', message: 'an image cannot be changed; create another Image' },
  ),
  status: z.object({
    ...baseStatus,
    sha256: z.string().max(64).optional().describe('Digest of the file that was checked.'),
    size: quantity.optional().describe('Size of the file.'),
    virtualSize: quantity.optional().describe('Size of the disk in it.'),
    hosts: z.array(z.string().max(253)).max(1024).optional().describe('Hosts that have this very file.'),
  }),
  columns: [
    ...readyColumns,
    { name: 'Virtual size', type: 'string', jsonPath: '.status.virtualSize' },
    { name: 'File', type: 'string', jsonPath: '.spec.source.file.path', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: [],
})
export type Image = Resource<typeof Image>

/** Condition types, in the order they become true. */
export const ImageCondition = { Verified: 'Verified', SameOnAllHosts: 'SameOnAllHosts' } as const

/** Reasons used with the condition above. Part of the API: never rename one. */
export const ImageReason = {
  FileNotFound: 'FileNotFound',
  OutsideImportFolder: 'OutsideImportFolder',
  ChecksumMismatch: 'ChecksumMismatch',
  ImageTruncated: 'ImageTruncated',
  ImageCorrupt: 'ImageCorrupt',
  ImageRefused: 'ImageRefused',
  WrongFormat: 'WrongFormat',
  Checking: 'Checking',
  CheckFailed: 'CheckFailed',
  FilesDiffer: 'FilesDiffer',
  NoHostReachable: 'NoHostReachable',
  HostNotFound: 'HostNotFound',
} as const

import * as z from 'zod'
import { ageColumn, baseStatus, cel, givenName, messageColumn, quantity, readyColumns } from './common.ts'
import { deletionPolicyOverride } from './deletion.ts'
import { defineKind, type Resource } from './kind.ts'

const certificates = cel(z.string().max(65_536), {
  rule: "self.contains('-----BEGIN CERTIFICATE-----')",
  message: 'write PEM certificates, which begin with -----BEGIN CERTIFICATE-----',
})

const caBundle = cel(
  z.object({
    inline: certificates.optional().describe('PEM certificates. They are public, so they may be written here.'),
    configMapKeyRef: z
      .object({
        name: givenName.describe('Name of a ConfigMap in the namespace of the image.'),
        key: z.string().min(1).max(253).default('ca.crt').describe('Key of the PEM certificates in it.'),
      })
      .optional()
      .describe('ConfigMap that has them.'),
  }),
  {
    rule: 'has(self.inline) != has(self.configMapKeyRef)',
    message: 'name one place of the certificates: inline or configMapKeyRef',
  },
)

const httpSource = z.object({
  url: cel(
    z.string().max(2048),
    {
      rule: "self.matches('^https?://[^/?#]')",
      message: 'write a URL that begins with http:// or https://',
    },
    {
      rule: "!self.matches('^[^/?#]*//[^/?#]*@')",
      message: 'leave the user name and the password out: everybody who may read the image would see them',
    },
    {
      rule: String.raw`self.matches('^[!-~]*$') && !self.contains('#') && !self.contains('\\')`,
      message: 'write the URL in ASCII, without spaces, backslashes and #',
    },
  ).describe('Address of the file: http or https, without a password in it.'),
  caBundle: caBundle
    .optional()
    .describe('Authorities that the certificate of the server may come from, in place of the well-known ones.'),
})

export const Image = defineKind({
  group: 'storage.holdfast.dev',
  version: 'v1alpha1',
  kind: 'Image',
  plural: 'images',
  shortNames: ['hfimg'],
  scope: 'Namespaced',
  description: 'A disk image that disks are made from. It is checked before anything uses it, and never changes.',
  finalizer: 'storage.holdfast.dev/image',
  spec: cel(
    z.object({
      source: cel(
        z.object({
          file: z
            .object({
              path: cel(
                z.string().max(512),
                {
                  rule: "!self.startsWith('/') && !self.split('/').exists(part, part in ['', '.', '..'])",
                  message:
                    "write a path below the host's import folder, such as debian-12.qcow2, without a leading / and without ..",
                },
                {
                  rule: String.raw`!self.matches('[\\x00-\\x1f\\x7f-\\x{9f}\\x{200e}\\x{200f}\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}]')`,
                  message: 'write the name of a file: it has a character that cannot be printed',
                },
              ).describe('Path of the file below the import folder of the host.'),
              host: givenName.optional().describe('Host that has the file. Without it, every host that has it counts.'),
            })
            .optional()
            .describe("A file in the import folder that the host's agent is configured with."),
          http: httpSource.optional().describe('A file on a server. Every host that has a DataStorage downloads it.'),
        }),
        {
          rule: 'has(self.file) != has(self.http)',
          message: 'name one source: file, for a file in the import folder of a host, or http, for one on a server',
        },
      ).describe('Where the image comes from: one of file and http.'),
      format: z
        .enum(['qcow2', 'raw'])
        .default('qcow2')
        .describe('Format of the file. It is never guessed: a raw disk that pretends to be qcow2 would be dangerous.'),
      checksum: cel(z.string().max(71), {
        rule: "self.matches('^sha256:[0-9a-f]{64}$')",
        message: 'write sha256: and the 64 lowercase hexadecimal digits that sha256sum prints',
      })
        .optional()
        .describe('Expected digest of the file. When it differs, the image is refused. Required with source.http.'),
      deletionPolicy: deletionPolicyOverride,
    }),
    {
      rule: '!has(self.source.http) || has(self.checksum)',
      message: 'an image by http needs a checksum: write sha256: and the 64 digits that its publisher names',
    },
    {
      rule: 'self.source == oldSelf.source && self.format == oldSelf.format && has(self.checksum) == has(oldSelf.checksum) && (!has(self.checksum) || self.checksum == oldSelf.checksum)',
      message: 'an image cannot be changed; create another Image',
    },
  ),
  status: z.object({
    ...baseStatus,
    sha256: z
      .string()
      .max(64)
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .describe('Digest of the file that was checked.'),
    size: quantity.optional().describe('Size of the file.'),
    virtualSize: quantity.optional().describe('Size of the disk in it.'),
    hosts: z.array(z.string().max(253)).max(1024).optional().describe('Hosts that have this very file.'),
    downloadHosts: z
      .array(z.string().max(253))
      .max(1024)
      .optional()
      .describe('Hosts that were told to download it, which have to remove it again.'),
    progress: z
      .int32()
      .min(0)
      .max(100)
      .optional()
      .describe('How much of the file the fastest host has downloaded, in percent. It is told in steps.'),
  }),
  columns: [
    ...readyColumns,
    { name: 'Virtual size', type: 'string', jsonPath: '.status.virtualSize' },
    { name: 'Progress', type: 'integer', jsonPath: '.status.progress', priority: 1 },
    { name: 'URL', type: 'string', jsonPath: '.spec.source.http.url', priority: 1 },
    { name: 'File', type: 'string', jsonPath: '.spec.source.file.path', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: [],
})
export type Image = Resource<typeof Image>

/** Condition types, in the order they become true. */
export const ImageCondition = {
  Verified: 'Verified',
  SameOnAllHosts: 'SameOnAllHosts',
  CleanedUp: 'CleanedUp',
} as const

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
  Downloading: 'Downloading',
  DownloadFailed: 'DownloadFailed',
  AddressNotAllowed: 'AddressNotAllowed',
  RedirectRefused: 'RedirectRefused',
  CertificateNotTrusted: 'CertificateNotTrusted',
  CABundleUnusable: 'CABundleUnusable',
  ServerRefused: 'ServerRefused',
  AnswerUnusable: 'AnswerUnusable',
  ImageTooLarge: 'ImageTooLarge',
  NoSpace: 'NoSpace',
  NoDataStorage: 'NoDataStorage',
  HostUnreachable: 'HostUnreachable',
  HostRefused: 'HostRefused',
} as const

/** What is downloaded for an image; nothing when it comes from an import folder. */
export function downloadOf({ spec }: Image): { readonly url: string; readonly sha256: string } | undefined {
  const { http } = spec.source
  return http && spec.checksum !== undefined
    ? { url: http.url, sha256: spec.checksum.slice('sha256:'.length) }
    : undefined
}

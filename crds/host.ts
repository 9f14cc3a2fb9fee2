import * as z from 'zod'
import { ageColumn, baseStatus, cel, messageColumn, quantity, readyColumns } from './common.ts'
import { defineKind, type Resource } from './kind.ts'

/** More are counted, and not listed. */
export const MAX_ORPHANS = 32

/** Of a DNS name, RFC 1123. */
const LABEL = '[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?'

const orphan = z.object({
  name: z.string().max(320).describe('Namespace and name of the VirtualMachine that it was started for.'),
  machineId: z.uuid().describe('Identity of the machine, for spec.adopt of a VirtualMachine.'),
  state: z
    .enum(['Stopped', 'Starting', 'Running', 'Paused', 'Stopping'])
    .describe('What the host says of it. A stopped one still holds its disks.'),
  disks: z
    .array(
      z.object({
        id: z.uuid().describe('Name of its file, for spec.source.existing of a Disk.'),
        dataStorage: z.string().max(253).describe('DataStorage that it is on.'),
      }),
    )
    .max(17)
    .optional()
    .describe('Its disks, that it boots from first.'),
  cpus: z.int32().optional().describe('Virtual CPUs that it takes.'),
  memory: quantity.optional().describe('Memory that it takes.'),
  since: z.iso.datetime().describe('When it was found.'),
})
export type Orphan = z.infer<typeof orphan>

export const Host = defineKind({
  group: 'compute.holdfast.dev',
  version: 'v1alpha1',
  kind: 'Host',
  plural: 'hosts',
  shortNames: ['hfhost'],
  scope: 'Cluster',
  description: 'A hypervisor host: a machine where a Holdfast agent runs virtual machines.',
  spec: z.object({
    address: cel(z.string().max(253), {
      // A name whose last label is a number would be read as an IPv4 address.
      rule: `isIP(self) || (self.matches('^${LABEL}([.]${LABEL})*$') && !self.matches('(^|[.])([0-9]+|0[xX][0-9A-Fa-f]*)$'))`,
      message: 'write an IP address or a DNS name, such as 10.0.0.5; the port is in spec.port',
    }).describe('IP address or name that its agent listens on.'),
    port: z.int32().min(1).max(65535).default(8444).describe('Port that its agent listens on.'),
  }),
  status: z.object({
    ...baseStatus,
    bootId: z.string().max(64).optional().describe('Identity of its current boot, as its kernel reports it.'),
    cpus: z.int32().optional().describe('Number of CPUs.'),
    memory: quantity.optional().describe('Memory.'),
    accelerator: z
      .enum(['KVM', 'TCG'])
      .optional()
      .describe('How guests run: KVM by the hardware, TCG by emulation, which is slower.'),
    acceleratorReason: z.string().max(256).optional().describe('Why this accelerator was chosen.'),
    imageSandbox: z
      .enum(['Bubblewrap', 'None'])
      .optional()
      .describe('What foreign images are opened in. None: only limits on time, CPU and memory.'),
    qemuVersion: z.string().max(64).optional().describe('Version of QEMU.'),
    agentVersion: z.string().max(64).optional().describe('Version of the Holdfast agent.'),
    orphanCount: z.int32().optional().describe('Number of machines on it that no VirtualMachine stands for.'),
    orphans: z
      .array(orphan)
      .max(MAX_ORPHANS)
      .optional()
      .describe(
        `Machines on it that no VirtualMachine stands for, by name; the first ${MAX_ORPHANS} of them. They are kept as they are until a VirtualMachine adopts them with spec.adopt.`,
      ),
  }),
  columns: [
    ...readyColumns,
    { name: 'CPUs', type: 'integer', jsonPath: '.status.cpus' },
    { name: 'Memory', type: 'string', jsonPath: '.status.memory' },
    { name: 'Accelerator', type: 'string', jsonPath: '.status.accelerator' },
    { name: 'Orphans', type: 'integer', jsonPath: '.status.orphanCount' },
    { name: 'QEMU', type: 'string', jsonPath: '.status.qemuVersion', priority: 1 },
    { name: 'Address', type: 'string', jsonPath: '.spec.address', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: [],
})
export type Host = Resource<typeof Host>

/** Condition types, in the order they become true. */
export const HostCondition = {
  Connected: 'Connected',
  HypervisorReady: 'HypervisorReady',
  StateStored: 'StateStored',
  MachinesOwned: 'MachinesOwned',
} as const

/** Reasons used with the conditions above. Part of the API: never rename one. */
export const HostReason = {
  Connecting: 'Connecting',
  HostUnreachable: 'HostUnreachable',
  NotThisHost: 'NotThisHost',
  AddressUnusable: 'AddressUnusable',
  ContractTooOld: 'ContractTooOld',
  QemuMissing: 'QemuMissing',
  QemuTooOld: 'QemuTooOld',
  OrphansFound: 'OrphansFound',
  StateFull: 'StateFull',
  RecordsUnreadable: 'RecordsUnreadable',
  CertificateNotValid: 'CertificateNotValid',
} as const

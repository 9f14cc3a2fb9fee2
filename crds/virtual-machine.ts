import * as z from 'zod'
import { ageColumn, cel, givenName, givenTime, messageColumn, readyColumns, size, type ObjectMeta } from './common.ts'
import { deletionPolicyOverride } from './deletion.ts'
import { furtherDisk, MAX_FURTHER_DISKS, rootDisk } from './machine-disks.ts'
import { defineKind, type Resource } from './kind.ts'
import { OriginReason } from './recycled-resource.ts'
import { powerRequest, virtualMachineStatus } from './virtual-machine-status.ts'

const machineIdentity = z.uuid()

export const VirtualMachine = defineKind({
  group: 'compute.holdfast.dev',
  version: 'v1alpha1',
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  shortNames: ['hfvm'],
  scope: 'Namespaced',
  description: 'A virtual machine: what it boots from, how large it is, and whether it should be running.',
  finalizer: 'compute.holdfast.dev/virtual-machine',
  spec: z.object({
    cpus: z
      .int32()
      .min(1)
      .max(256)
      .default(1)
      .describe('Number of virtual CPUs. A change takes effect at the next start.'),
    memory: cel(size, {
      rule: "!isQuantity(self) || quantity(self).compareTo(quantity('16Mi')) >= 0",
      message: 'ask for at least 16Mi: no guest starts with less',
    }).describe('Guest memory, for example 4Gi. A change takes effect at the next start.'),
    machineType: cel(z.string().max(16), {
      rule: "self.matches('^(q35|pc-q35-[0-9]{1,2}[.][0-9]{1,2})$')",
      message: 'write q35, or one version of it such as pc-q35-7.2',
    })
      .default('q35')
      .describe(
        "Hardware that the guest sees. q35 means the newest version that the host has at the machine's first start; it is then kept.",
      ),
    runStrategy: z
      .enum(['Always', 'RerunOnFailure', 'Manual', 'Halted'])
      .default('Always')
      .describe(
        'Always: it runs, and is started again after a crash or a shutdown from inside. RerunOnFailure: it is started, and again after a crash; a shutdown from inside leaves it off. Manual: it is started and stopped by spec.power alone. Halted: it is shut down and stays off.',
      ),
    power: cel(
      z.object({
        request: powerRequest.describe(
          'Start. Stop: presses the power button, and it stays off until Start or another runStrategy. ForceStop: the same, without waiting for the guest. Restart: Stop, then Start. Reset: presses the reset button. Pause: halts the guest where it is, until Resume.',
        ),
        at: givenTime.describe(
          'When it is asked for: now, with fractions of a second if need be. One that is older than ten minutes, than the object or than the last request, or more than a minute ahead, is ignored. One that is overwritten before status.power names it is not carried out.',
        ),
      }),
      {
        rule: 'self == oldSelf || self.at != oldSelf.at',
        message: 'a request is carried out once for each time: give at the present time',
      },
    )
      .optional()
      .describe(
        'What to do with the machine, once. For tools, with a field manager of their own: leave it out of Git.',
      ),
    rootDisk: rootDisk.describe('Disk that the machine boots from.'),
    disks: cel(z.array(furtherDisk).max(MAX_FURTHER_DISKS), {
      rule: 'self.all(a, self.exists_one(b, a.diskRef.name == b.diskRef.name))',
      message: 'name each Disk once',
    })
      .default([])
      .describe(
        'Further disks. They are attached and detached while the machine runs, up to four more than it was started with. When it is deleted they are detached and stay, but for those with deleteWithVirtualMachine.',
      ),
    adopt: z
      .object({
        machineId: z.uuid().describe('Identity of the machine, from status.orphans of its Host.'),
      })
      .optional()
      .describe(
        'Take over a machine that a host has and that no VirtualMachine stands for, as it is, instead of making one. It must have been started for a VirtualMachine of this name and namespace. Read when the machine is placed, which happens once.',
      ),
    placement: z
      .object({
        host: givenName.optional().describe('The one Host to run on.'),
        hostSelector: z
          .record(z.string(), z.string().max(63))
          .optional()
          .meta({ maxProperties: 16 })
          .describe('Labels that the Host must have.'),
      })
      .prefault({})
      .describe('Where it may run. Read when the machine is placed, which happens once.'),
    deletionPolicy: deletionPolicyOverride,
    terminationGracePeriodSeconds: z
      .int32()
      .min(0)
      .max(3600)
      .default(60)
      .describe('Seconds that the guest has to shut down after the power button is pressed; then it is switched off.'),
  }),
  status: virtualMachineStatus,
  rules: [
    {
      rule: '!has(oldSelf.status) || !has(oldSelf.status.machineId) || has(self.status)',
      message: 'status holds the identity of the machine: leave it as it was',
    },
    {
      rule: '!has(self.spec.adopt) || !has(self.status) || !has(self.status.machineId) || self.spec.adopt.machineId == self.status.machineId',
      message: 'this machine is another one already: leave spec.adopt out, or create the VirtualMachine anew with it',
    },
    {
      rule: "self.spec.runStrategy != 'Halted' || !has(self.spec.power) || !(self.spec.power.request in ['Start', 'Restart']) || (has(oldSelf.spec.power) && oldSelf.spec.power == self.spec.power)",
      message: 'a machine whose runStrategy is Halted is not started: set it to Always, RerunOnFailure or Manual',
    },
    {
      rule: "self.spec.disks.all(d, d.diskRef.name != (has(self.spec.rootDisk.diskRef) ? self.spec.rootDisk.diskRef.name : self.metadata.name + '-root'))",
      message: 'the root disk is attached already; leave it out of spec.disks',
    },
    {
      rule: 'size(self.metadata.name) <= 63',
      message: 'use a name of at most 63 characters: it is also the name of the guest and the start of a disk name',
    },
  ],
  columns: [
    { name: 'Status', type: 'string', jsonPath: '.status.printableStatus' },
    ...readyColumns,
    { name: 'CPUs', type: 'integer', jsonPath: '.spec.cpus' },
    { name: 'Memory', type: 'string', jsonPath: '.spec.memory' },
    { name: 'Host', type: 'string', jsonPath: '.status.host' },
    { name: 'Image', type: 'string', jsonPath: '.spec.rootDisk.imageRef.name', priority: 1 },
    messageColumn,
    ageColumn,
  ],
  selectableFields: ['.status.host'],
})
export type VirtualMachine = Resource<typeof VirtualMachine>

/** Condition types, in the order they become true. */
export const VirtualMachineCondition = {
  ImageReady: 'ImageReady',
  Placed: 'Placed',
  RequestAccepted: 'RequestAccepted',
  DisksReady: 'DisksReady',
  PowerStateReached: 'PowerStateReached',
  SpecApplied: 'SpecApplied',
  CleanedUp: 'CleanedUp',
} as const

/** Reasons used with the conditions above. Part of the API: never rename one. */
export const VirtualMachineReason = {
  ImageNotFound: 'ImageNotFound',
  ImageNotReady: 'ImageNotReady',
  DiskTooSmall: 'DiskTooSmall',
  DiskNotFound: 'DiskNotFound',
  DiskNotReady: 'DiskNotReady',
  DiskInUse: 'DiskInUse',
  DiskNameTaken: 'DiskNameTaken',
  HostFull: 'HostFull',
  NoHostFits: 'NoHostFits',
  HostNotFound: 'HostNotFound',
  HostUnreachable: 'HostUnreachable',
  HostRefused: 'HostRefused',
  RequestOutdated: 'RequestOutdated',
  RequestRefused: 'RequestRefused',
  SuspendedByUser: 'SuspendedByUser',
  PausedByUser: 'PausedByUser',
  GuestShutdown: 'GuestShutdown',
  Crashed: 'Crashed',
  CrashLoopBackOff: 'CrashLoopBackOff',
  Starting: 'Starting',
  Restarting: 'Restarting',
  Stopping: 'Stopping',
  Paused: 'Paused',
  StartFailed: 'StartFailed',
  MonitorSilent: 'MonitorSilent',
  RestartRequired: 'RestartRequired',
  AttachingDisk: 'AttachingDisk',
  DetachingDisk: 'DetachingDisk',
  GuestKeepsDisk: 'GuestKeepsDisk',
  PlacementFixed: 'PlacementFixed',
  IdentityTaken: 'IdentityTaken',
  AdoptionRefused: 'AdoptionRefused',
  OrphanOfName: 'OrphanOfName',
  StartedSince: 'StartedSince',
  PuttingAway: 'PuttingAway',
  ...OriginReason,
} as const

/** Marks a Disk as made for one machine, by the machine's id. It goes when the machine goes. */
export const MACHINE_ID_LABEL = 'compute.holdfast.dev/machine-id'

/** Identity of the machine that a Disk was made for. A label that is no UUID says nothing. */
export function makerOf({ labels }: { readonly labels?: ObjectMeta['labels'] | undefined }): string | undefined {
  return machineIdentity.safeParse(labels?.[MACHINE_ID_LABEL]).data
}

/** Name of the root disk that is made for a machine of this name. */
export function ownRootName(machine: string): string {
  return `${machine}-root`
}

/** Name of the Disk that a machine boots from: the one that the spec names, or the one that is made from its image. */
export function rootDiskName({ metadata, spec }: VirtualMachine): string {
  return spec.rootDisk.diskRef?.name ?? ownRootName(metadata.name)
}

/** Names of the disks of a machine, in its namespace, root first. */
export function diskNames(vm: VirtualMachine): string[] {
  return [rootDiskName(vm), ...vm.spec.disks.map(({ diskRef }) => diskRef.name)]
}

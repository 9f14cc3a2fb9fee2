import * as z from 'zod'

/** Grows with every change that an older peer would misread. An agent lists what it speaks in `GET /v1/host`. */
export const CONTRACT_VERSION = 1

/** Header of every call of a leader. What changes something must have it, but for `stop-guests`. */
export const TERM_HEADER = 'holdfast-term'

/** Header of every call of a leader too: a number that does not fall within its term, by which orders that come late are known. */
export const SEQUENCE_HEADER = 'holdfast-sequence'

/** Number of a leadership. It grows with every change of the leader, and no call of an older one is obeyed. */
export const term = z.int32().min(1)

/** Of a machine: its root disk, and 16 more. */
export const MAX_DISKS = 17

const name = z.string().min(1).max(253)
const epoch = z.int().min(1)
const bytes = z.int().min(0)

/** A stored decision to start, stop or remove a machine. Epochs of one machine only grow. */
const decision = z.object({
  id: z.uuid(),
  epoch,
  /** Decisions whose claims on disks this one may take over. */
  follows: z.array(z.uuid()).max(8),
})
export type Decision = z.infer<typeof decision>

/** `PUT /v1/machines/{id}`: the whole machine as it should be. Sending it again changes nothing. */
export const desiredMachine = z.object({
  id: z.uuid(),
  /** `namespace/name` of its object, for logs and for QEMU's window title. */
  name: z.string().min(1).max(320),
  decision,
  /** Absent: shut down, then forgotten; its disks are kept and released. */
  power: z.enum(['Running', 'Stopped', 'Absent']),
  cpus: z.int().min(1).max(256),
  memoryBytes: bytes,
  /** `q35` is resolved to a version at the first start and kept from then on. */
  machineType: z.string().regex(/^(q35|pc-q35-\d{1,2}\.\d{1,2})$/),
  macs: z.array(z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)).max(16),
  /** Root first. Each must have been made by `PUT /v1/disks/{id}`. */
  disks: z.array(z.object({ id: z.uuid(), storage: name })).max(MAX_DISKS),
  /**
   * Disks that a guest which runs is asked to give back. One that it has, and that is named neither here nor above, it
   * keeps until it is off: who orders may not know of it, for the platform can be restored from an older state.
   */
  detach: z.array(z.uuid()).max(MAX_DISKS).optional(),
  /** After a crash, and under `Always` also after a shutdown from inside: start again, with back-off, or leave it off. */
  restart: z.enum(['Always', 'OnFailure', 'Never']),
  /** With 0 it is switched off at once. */
  gracePeriodSeconds: z.int().min(0).max(3600),
  /** Halted in the middle of what it does, for as long as this is so. */
  paused: z.boolean().optional(),
  /** Done once under this decision, however often it is sent: shut down and start anew, or press the reset button. */
  once: z.enum(['Restart', 'Reset']).optional(),
})
export type DesiredMachine = z.infer<typeof desiredMachine>

export const machineState = z.enum(['Stopped', 'Starting', 'Running', 'Paused', 'Stopping', 'Absent'])
export type MachineState = z.infer<typeof machineState>

/** A machine as its host sees it. `Stopped` means that the host looked and there is no process. */
export const observedMachine = z.object({
  id: z.uuid(),
  name: z.string(),
  decision: decision.pick({ id: true, epoch: true }),
  power: desiredMachine.shape.power,
  state: machineState,
  /** Why the state is not the desired one, where the host knows. */
  problem: z.object({ code: z.string(), message: z.string() }).optional(),
  /** Fields of the desired machine that the running process has not, and can have at its next start only. */
  pendingRestart: z.array(z.string()),
  /** Disks that the machine has yet to get, or to give back. Absent when there are none. */
  pendingDisks: z
    .array(
      z.object({
        id: z.uuid(),
        action: z.enum(['Attach', 'Detach']),
        /** The guest was asked to give it back, and has not for a while. */
        isKept: z.boolean().optional(),
        /** Why it failed last. */
        message: z.string().optional(),
      }),
    )
    .optional(),
  /** Starts that followed a crash or a shutdown from inside, since the last decision. */
  restarts: z.int(),
  /** Time of the next try to start it, ISO 8601, while it waits after a crash. */
  retryAt: z.iso.datetime().optional(),
  pid: z.int().optional(),
  /** As ordered last, for whoever takes over a machine of which only its host knows. */
  macs: desiredMachine.shape.macs.optional(),
  disks: desiredMachine.shape.disks.optional(),
  /** What its process has, or what it would be started with. */
  cpus: z.int().min(1).optional(),
  memoryBytes: bytes.optional(),
  /** Grows with every observation that this agent process makes, so that of two the later is known, whichever came first. */
  revision: z.int(),
})
export type ObservedMachine = z.infer<typeof observedMachine>

/** `PUT /v1/storages/{name}`: a folder that disks are kept in. The agent never makes the folder. */
export const desiredStorage = z.object({ name, path: z.string().min(2).max(512) })
export type DesiredStorage = z.infer<typeof desiredStorage>

export const storageProblem = z.enum(['PathMissing', 'NotADirectory', 'NotWritable', 'NotPassable', 'NotOurs', 'Full'])

export const observedStorage = z.object({
  name,
  capacityBytes: bytes,
  availableBytes: bytes,
  problem: z.object({ code: storageProblem, message: z.string() }).optional(),
})
export type ObservedStorage = z.infer<typeof observedStorage>

export const imageFormat = z.enum(['qcow2', 'raw'])

/** An image file by what was checked: below the import folder, or without `path` the one that was downloaded. */
const imageFile = z.object({
  path: z.string().min(1).max(512).optional(),
  format: imageFormat,
  sha256: z.string().length(64),
})

/** `PUT /v1/disks/{id}`: a disk as it should be: a qcow2 file of that size, made from an image or blank. It never shrinks. */
export const desiredDisk = z.object({
  id: z.uuid(),
  storage: name,
  sizeBytes: bytes,
  image: imageFile.optional(),
  /** It was made already: `DISK_NOT_FOUND` when its file is gone, and not an empty one in its place. */
  mustExist: z.literal(true).optional(),
})
export type DesiredDisk = z.infer<typeof desiredDisk>

export const observedDisk = z.object({
  id: z.uuid(),
  storage: name,
  /** Growing: the size waits for the process that has it open. */
  state: z.enum(['Creating', 'Ready', 'Growing']),
  sizeBytes: bytes,
})
export type ObservedDisk = z.infer<typeof observedDisk>

/** `POST /v1/images/inspect`: check a file below the import folder. Takes long for a big file; ask again while `Checking`. */
export const imageQuery = z.object({
  path: z.string().min(1).max(512),
  format: imageFormat,
  sha256: z.string().length(64).optional(),
  /** A larger file is refused before it is read. */
  maxBytes: bytes.optional(),
})
export type ImageQuery = z.infer<typeof imageQuery>

/**
 * `PUT /v1/images/{sha256}`: download a file and check it. The settings are those of the platform at the time of the
 * order. A download goes on only while somebody asks: a new agent process waits for the order to come again, and then
 * goes on where the last one ended.
 */
export const desiredImage = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  format: imageFormat,
  url: z.string().min(1).max(2048),
  /** PEM: whom to trust in place of the well-known authorities. */
  caBundle: z.string().max(65_536).optional(),
  maxBytes: bytes,
  /** CIDRs that may be connected to although they are not public. */
  allowedNetworks: z.array(z.string().max(64)).max(64),
})
export type DesiredImage = z.infer<typeof desiredImage>

export const imageProblem = z.enum([
  'FileNotFound',
  'OutsideImportFolder',
  'ChecksumMismatch',
  'ImageTruncated',
  'ImageCorrupt',
  'ImageRefused',
  'WrongFormat',
  'CheckFailed',
  'AddressNotAllowed',
  'RedirectRefused',
  'CertificateNotTrusted',
  'CABundleUnusable',
  'ServerRefused',
  'AnswerUnusable',
  'ImageTooLarge',
  'NoSpace',
  'DownloadFailed',
])
export type ImageProblem = z.infer<typeof imageProblem>

export const inspectedImage = z.discriminatedUnion('state', [
  /**
   * `totalBytes` once the server has told. `waitsFor` is given while it waits for its turn: so many other downloads are
   * under way on the host. `trouble` is how the last try ended, until the next one comes further. Ask again.
   */
  z.object({
    state: z.literal('Downloading'),
    receivedBytes: bytes,
    totalBytes: bytes.optional(),
    waitsFor: z.int().min(0).optional(),
    trouble: z.object({ code: imageProblem, message: z.string() }).optional(),
  }),
  z.object({ state: z.literal('Checking') }),
  z.object({
    state: z.literal('Verified'),
    sha256: z.string().length(64),
    sizeBytes: bytes,
    virtualSizeBytes: bytes,
  }),
  z.object({ state: z.literal('Refused'), code: imageProblem, message: z.string() }),
])
export type InspectedImage = z.infer<typeof inspectedImage>

/** What keeps an agent from keeping its state, and a person can help with. */
const stateProblem = z.object({ code: z.enum(['StateFull', 'RecordsUnreadable']), message: z.string() })
export type StateProblem = z.infer<typeof stateProblem>

/** `GET /v1/host`. */
export const observedHost = z.object({
  /** Name that the agent was configured with; controllers refuse an agent that answers for another host. */
  name,
  contractVersions: z.array(z.int()),
  agentVersion: z.string(),
  bootId: z.string(),
  cpus: z.int(),
  memoryBytes: bytes,
  accelerator: z.enum(['KVM', 'TCG']),
  acceleratorReason: z.string(),
  imageSandbox: z.enum(['Bubblewrap', 'None']),
  qemuVersion: z.string().optional(),
  problem: z.object({ code: z.enum(['QemuMissing', 'QemuTooOld']), message: z.string() }).optional(),
  stateProblem: stateProblem.optional(),
})
export type ObservedHost = z.infer<typeof observedHost>

/** `GET /v1/events`: one JSON object a line. Every machine comes first, then `Synced`, then changes; `Beat` every 5 s. */
export const agentEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('Machine'), machine: observedMachine }),
  z.object({ type: z.literal('Synced') }),
  z.object({ type: z.literal('Disk'), disk: observedDisk }),
  z.object({ type: z.literal('Image'), path: z.string() }),
  z.object({ type: z.literal('Download'), sha256: z.string() }),
  z.object({ type: z.literal('Beat'), stateProblem: stateProblem.optional() }),
])
export type AgentEvent = z.infer<typeof agentEvent>

export const agentErrorCode = z.enum([
  'BAD_REQUEST',
  'NOT_FOUND',
  /** The order is older than one that the host accepted. `details` is the decision it holds. */
  'STALE_EPOCH',
  /** The order was sent before one of the same term that the host has taken already. */
  'STALE_ORDER',
  /** The caller leads no more. `details` is the term that the host holds. */
  'STALE_TERM',
  /** A disk belongs to another machine, or to a decision that this order does not follow. `details` is the claim found. */
  'DISK_CLAIMED',
  'DISK_NOT_FOUND',
  /** The disk is claimed by a machine and cannot be deleted. */
  'DISK_IN_USE',
  'STORAGE_UNAVAILABLE',
  'NO_SPACE',
  /** The image file is not the one that was checked, or fails its check. */
  'IMAGE_REJECTED',
  'QEMU_UNAVAILABLE',
  'INTERNAL',
  /** Made by the client: no answer. It says nothing about the machine. */
  'UNREACHABLE',
])
export type AgentErrorCode = z.infer<typeof agentErrorCode>

/** Body of every answer that is not 2xx. */
export const agentErrorBody = z.object({ code: agentErrorCode, message: z.string(), details: z.unknown().optional() })

/** `details` of STALE_EPOCH and DISK_CLAIMED. */
export const claim = z.object({ machineId: z.uuid(), decision: decision.pick({ id: true, epoch: true }) })
export type Claim = z.infer<typeof claim>

/** `details` of STALE_TERM. */
export const staleTerm = z.object({ term })
export type StaleTerm = z.infer<typeof staleTerm>

/** What a host can be asked to do. Every call is idempotent, and throws `AgentError`. */
export interface HostAgent {
  host(): Promise<ObservedHost>
  machines(): Promise<ObservedMachine[]>
  /** Answers when the machine is as desired, or after `waitMs`, whichever is first. */
  putMachine(machine: DesiredMachine, waitMs?: number): Promise<ObservedMachine>
  putStorage(storage: DesiredStorage): Promise<ObservedStorage>
  /** Answers when the disk is made, or after `waitMs`. */
  putDisk(disk: DesiredDisk, waitMs?: number): Promise<ObservedDisk>
  /** Succeeds too when there is no such disk; `STORAGE_UNAVAILABLE` when the host cannot look. */
  deleteDisk(storage: string, id: string): Promise<void>
  inspectImage(query: ImageQuery, waitMs?: number): Promise<InspectedImage>
  /** Answers when the image is there and checked, or refused, or after `waitMs`. */
  putImage(image: DesiredImage, waitMs?: number): Promise<InspectedImage>
  /** Ends the download, and removes what it made. Disks that were made from it keep their copy. */
  deleteImage(sha256: string): Promise<void>
  /** Shuts every guest down as a host does before it is switched off. They start again with the agent. */
  stopGuests(): Promise<void>
  /** Ends when the connection does, or with `signal`. Throws when nothing came for 15 s. */
  events(signal: AbortSignal): AsyncIterable<AgentEvent>
}

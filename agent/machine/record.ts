import * as z from 'zod'
import { desiredMachine } from '../contract.ts'
import { hardware } from './hardware.ts'

/** How a process came to its end without an order. */
export const ending = z.enum(['Crash', 'GuestShutdown'])
export type Ending = z.infer<typeof ending>

const launch = z.object({
  /** Boot of the host that the process belongs to; in another one it is surely gone. */
  bootId: z.string(),
  /** Absent for a process that was found without its record. */
  hardware: hardware.optional(),
  /** Whether the machine was seen running. A launch that was not may never have happened. */
  confirmed: z.boolean(),
  /** Noted when it is confirmed: by it the process is known wherever it is found. */
  process: z.object({ pid: z.int().min(1), startTime: z.string() }).optional(),
  /** The power button was pressed: a shutdown after that was asked for, however late it comes. */
  pressed: z.literal(true).optional(),
  /** How its guest ended, and under which decision, noted before the process is ended: none sees that otherwise. */
  end: z.object({ how: z.enum(['GuestShutdown', 'Ordered']), decision: z.uuid() }).optional(),
})

/** What the agent knows about one machine, kept over its own restarts and the host's. */
export const machineRecord = z.object({
  version: z.literal(1),
  desired: desiredMachine,
  /** User and group of its process, where the agent runs as root. */
  uid: z.int().min(1).optional(),
  /** Resolved at the first start, and kept. */
  machineType: z.string().optional(),
  /** The process that runs, or that is about to be started. */
  launch: launch.optional(),
  /** Disks that the machine may hold claims on, among them some that it is to have no longer. */
  claims: z.array(desiredMachine.shape.disks.element),
  /** It may hold claims besides, for an earlier record of it may have been lost. */
  mayHoldOthers: z.literal(true).optional(),
  /** Root port of each disk, by its id: it keeps it for as long as the machine has the disk. */
  slots: z.record(z.uuid(), z.int().min(0)).optional(),
  /** Starts that followed a crash, a failed start or a shutdown from inside, since the last decision. */
  restarts: z.int(),
  /** The like in a row, none of which ran for long. Decides how long the next start waits. */
  failures: z.int(),
  /** Not to be started before this time. */
  retryAt: z.iso.datetime().optional(),
  /** It ended by itself and is not to be started again under this decision. */
  ended: ending.optional(),
  /** How it ended before the start that it waits for. */
  lastEnding: ending.optional(),
  /** Id of the decision whose `once` was carried out, or is just about to be: nobody does it again. */
  carriedOut: z.uuid().optional(),
  /** When it was forgotten. What is left only remembers the decision, so that an older order is refused. */
  buriedAt: z.iso.datetime().optional(),
})
export type MachineRecord = z.infer<typeof machineRecord>

/** Whether what is to be done once under the present decision is still to be done. */
export function isDue({ desired, carriedOut }: Pick<MachineRecord, 'desired' | 'carriedOut'>): boolean {
  return desired.once !== undefined && carriedOut !== desired.decision.id
}

/** Whether a process that runs now is to be followed by another. */
export function isRestartDue(record: Pick<MachineRecord, 'desired' | 'carriedOut'>): boolean {
  const { once, power } = record.desired
  return once === 'Restart' && power === 'Running' && isDue(record)
}

/** Notes that the power button is about to be pressed; the very same record when that is noted already. */
export function withPress(record: MachineRecord): MachineRecord {
  if (!record.launch || record.launch.pressed === true) return record
  return { ...record, launch: { ...record.launch, pressed: true } }
}

/** Notes that it is done; the very same record when that is noted already. */
export function withCarriedOut(record: MachineRecord): MachineRecord {
  return isDue(record) ? { ...record, carriedOut: record.desired.decision.id } : record
}

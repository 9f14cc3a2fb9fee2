import type * as z from 'zod'
import { desiredMachine, type DesiredMachine } from '../contract.ts'

/** What of a machine is fixed when its process starts. */
export const hardware = desiredMachine.pick({
  cpus: true,
  memoryBytes: true,
  machineType: true,
  macs: true,
  disks: true,
})
export type Hardware = z.infer<typeof hardware>

/** The hardware that a machine would be started with now. `known` is the machine type of its first start. */
export function toHardware(desired: DesiredMachine, known: string): Hardware {
  const { cpus, memoryBytes, macs, disks } = desired
  return { cpus, memoryBytes, macs, disks, machineType: desired.machineType === 'q35' ? known : desired.machineType }
}

/** Names the fields of the desired machine that a process was not started with. Disks come and go while it runs. */
export function pendingRestart(desired: DesiredMachine, started: Hardware): string[] {
  const wanted = toHardware(desired, started.machineType)
  const fields = ['cpus', 'memoryBytes', 'machineType', 'macs'] as const
  return fields.filter((field) => JSON.stringify(wanted[field]) !== JSON.stringify(started[field]))
}

import { randomUUID } from 'node:crypto'
import type { Decision, DesiredMachine } from '../contract.ts'
import type { MachineRecord } from './record.ts'

const MIB = 2 ** 20

/** A small machine without disks that should run. */
export function newDesired(change: Partial<DesiredMachine> = {}): DesiredMachine {
  return {
    id: randomUUID(),
    name: 'default/test',
    decision: { id: randomUUID(), epoch: 1, follows: [] },
    power: 'Running',
    cpus: 1,
    memoryBytes: 128 * MIB,
    machineType: 'q35',
    macs: [],
    disks: [],
    restart: 'Always',
    gracePeriodSeconds: 1,
    ...change,
  }
}

/** The same machine under a decision that follows its last ones. */
export function decidedAnew(machine: DesiredMachine, change: Partial<DesiredMachine>): DesiredMachine {
  const { decision } = machine
  const next: Decision = {
    id: randomUUID(),
    epoch: decision.epoch + 1,
    follows: [decision.id, ...decision.follows].slice(0, 8),
  }
  return { ...machine, decision: next, ...change }
}

export function newRecord(change: Partial<MachineRecord> = {}): MachineRecord {
  return { version: 1, desired: newDesired(), claims: [], restarts: 0, failures: 0, ...change }
}

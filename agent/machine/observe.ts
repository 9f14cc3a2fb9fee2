import { isHalted } from './decide.ts'
import type { MachineState, ObservedMachine } from '../contract.ts'
import type { RunState } from '../qmp/commands.ts'
import type { ProcessState } from './decide.ts'
import type { GuestProblem } from './guest.ts'
import { pendingRestart } from './hardware.ts'
import type { MachineRecord } from './record.ts'

/** Why a machine is not as desired, besides the codes of `AgentError`. */
export type ProblemCode =
  | 'StartFailed'
  | 'Crashed'
  | 'GuestShutdown'
  | 'DiskFull'
  | 'DiskFailed'
  | 'MonitorSilent'
  | 'OrderMissing'
  | 'StillRunning'
  | 'HostStopping'

export interface Problem {
  readonly code: string
  readonly message: string
}

/** What only somebody who reads the agent's log can explain. */
export const internalProblem: Problem = {
  code: 'INTERNAL',
  message: 'the host has a problem with this machine; see the log of its agent',
}

/** Nothing can be written where the agent keeps what belongs to the machine. */
export const fullProblem: Problem = {
  code: 'NO_SPACE',
  message:
    'a file system of the host that the agent keeps its state, logs or sockets on is full; free some space, and it goes on by itself',
}

const ELSEWHERE = 'the process of the machine has its sockets in another run folder than the agent has now'

const stillElsewhere: Problem = {
  code: 'StillRunning',
  message: `${ELSEWHERE}; restart the machine, or start the agent with that folder, to reach its console`,
}

export interface Sight {
  readonly process: ProcessState
  readonly pid: number | undefined
  readonly starting: boolean
  readonly stopping: boolean
  readonly guestProblem: GuestProblem | undefined
  /** Its process was started with another run folder. */
  readonly elsewhere: boolean
  /** The host is going down: nothing starts. */
  readonly held: boolean
  readonly problem: Problem | undefined
  readonly pendingDisks: NonNullable<ObservedMachine['pendingDisks']>
  /** A disk waits for a root port, of which there are more at the next start. */
  readonly lacksPort: boolean
}

/** What the contract tells about a machine. */
export function observe(record: MachineRecord, sight: Sight): Omit<ObservedMachine, 'revision'> {
  const { desired, launch } = record
  const problem = problemOf(record, sight)
  const isOn = sight.process !== 'None'
  return {
    id: desired.id,
    name: desired.name,
    decision: { id: desired.decision.id, epoch: desired.decision.epoch },
    power: desired.power,
    state: stateOf(record, sight),
    ...(problem ? { problem: { code: problem.code, message: problem.message } } : {}),
    pendingRestart: [
      ...(isOn && launch?.hardware ? pendingRestart(desired, launch.hardware) : []),
      ...(sight.lacksPort ? ['disks'] : []),
    ],
    ...(sight.pendingDisks.length > 0 ? { pendingDisks: [...sight.pendingDisks] } : {}),
    restarts: record.restarts,
    ...(record.retryAt !== undefined && !isOn ? { retryAt: record.retryAt } : {}),
    ...(sight.pid === undefined ? {} : { pid: sight.pid }),
    macs: desired.macs,
    disks: desired.disks,
    ...capacity(record, isOn),
  }
}

/** Of its process, or of the next one. */
function capacity({ desired, launch }: MachineRecord, isOn: boolean): Pick<ObservedMachine, 'cpus' | 'memoryBytes'> {
  const { cpus, memoryBytes } = (isOn ? launch?.hardware : undefined) ?? desired
  return { cpus, memoryBytes }
}

function stateOf(record: MachineRecord, { process, starting, stopping }: Sight): MachineState {
  const { buriedAt, launch } = record
  if (process === 'None') {
    if (buriedAt !== undefined) return 'Absent'
    return starting ? 'Starting' : 'Stopped'
  }
  if (stopping) return 'Stopping'
  if (process !== 'Silent') return isHalted({ record, process }) ? 'Paused' : states[process]
  // When it was seen running and its process lives, a silent monitor is a problem, not a state.
  return launch?.confirmed === true ? 'Running' : 'Starting'
}

const states: Record<RunState, MachineState> = {
  running: 'Running',
  prelaunch: 'Starting',
  preconfig: 'Starting',
  inmigrate: 'Starting',
  shutdown: 'Stopping',
  colo: 'Paused',
  debug: 'Paused',
  'finish-migrate': 'Paused',
  'guest-panicked': 'Paused',
  'internal-error': 'Paused',
  'io-error': 'Paused',
  paused: 'Paused',
  postmigrate: 'Paused',
  'restore-vm': 'Paused',
  'save-vm': 'Paused',
  suspended: 'Paused',
  watchdog: 'Paused',
}

function problemOf(record: MachineRecord, sight: Sight): Problem | undefined {
  if (sight.process === 'None') return sight.problem ?? whyOff(record, sight)
  if (sight.process === 'Silent') return whySilent(record, sight) ?? sight.problem
  if (sight.process !== 'io-error') return sight.problem ?? (sight.elsewhere ? stillElsewhere : undefined)
  return sight.guestProblem === 'nospace'
    ? toProblem(
        'DiskFull',
        'the data storage is full, so the guest is paused; free some space, and it goes on by itself',
      )
    : toProblem('DiskFailed', 'a disk could not be read or written, so the guest is paused until it can')
}

function whySilent({ launch }: MachineRecord, { guestProblem, elsewhere }: Sight): Problem | undefined {
  if (guestProblem === 'foreign') {
    const message =
      'something else answers in place of the process, so the guest may have broken out; stop it, and look at the host'
    return toProblem('MonitorSilent', message)
  }
  if (elsewhere) {
    const message = `${ELSEWHERE}, and does not answer there; start the agent with that folder, or request ForceStop`
    return toProblem('MonitorSilent', message)
  }
  if (launch?.confirmed !== true) return undefined
  return toProblem(
    'MonitorSilent',
    'the process of the machine runs but does not answer, so the guest may hang; look at the host, or request ForceStop',
  )
}

function whyOff(
  { desired, ended, retryAt, lastEnding }: MachineRecord,
  { held, starting }: Sight,
): Problem | undefined {
  if (desired.power !== 'Running' || starting) return undefined
  if (held) return toProblem('HostStopping', 'the host is shutting its guests down; they start again with its agent')
  if (ended === 'GuestShutdown') return toProblem('GuestShutdown', 'the guest shut itself down')
  if (ended === 'Crash') return toProblem('Crashed', 'the machine ended without being told to')
  if (retryAt === undefined) return undefined
  return lastEnding === 'GuestShutdown'
    ? toProblem('GuestShutdown', 'the guest shut itself down, and is started again after a while')
    : toProblem('Crashed', 'the machine ended without being told to, and is started again after a while')
}

/** A problem with one of the codes that a machine can have. */
export function toProblem(code: ProblemCode, message: string): Problem {
  return { code, message }
}

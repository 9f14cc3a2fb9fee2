import type { DesiredMachine } from '../contract.ts'
import type { RunState } from '../qmp/commands.ts'
import { LONGEST_DELAY_MS } from './back-off.ts'
import type { PlugStep } from './plugged.ts'
import { isDue, isRestartDue, type MachineRecord } from './record.ts'

/** What the host sees of a machine's process. Silent: it lives, but its monitor does not answer. */
export type ProcessState = 'None' | 'Silent' | RunState

/** A shutdown under way, in milliseconds of a clock that only grows. */
export interface Shutdown {
  readonly beganMs: number
  readonly pressedMs: number
}

export interface Situation {
  readonly record: Pick<MachineRecord, 'desired' | 'ended' | 'retryAt' | 'buriedAt' | 'carriedOut' | 'launch'>
  readonly process: ProcessState
  /** The host is going down: nothing starts. */
  readonly held: boolean
  readonly shutdown: Shutdown | undefined
  /** Whether this decision holds its disks. */
  readonly claimed: boolean
  /** It holds claims on disks that it is to have no longer. */
  readonly surplus: boolean
  /** What is next about the disks of its process. */
  readonly plug: PlugStep
  readonly nowMs: number
  /** Wall clock. */
  readonly now: Date
}

/** What is done to a process that runs on. */
const processSteps = ['PressPowerButton', 'CancelShutdown', 'Pause', 'Resume', 'Reset'] as const
export type ProcessStep = (typeof processSteps)[number]

/** The next thing to do about a machine. */
export type Step =
  | { readonly do: 'Wait'; readonly forMs?: number }
  | { readonly do: 'Start' | 'Claim' | 'Release' | 'Bury' }
  | { readonly do: ProcessStep }
  | Exclude<PlugStep, { do: 'Wait' }>
  | { readonly do: 'End'; readonly how: 'Quit' | 'Kill' }

const plugSteps = ['Look', 'Detach', 'Clean', 'Attach']

/** Whether a step is about the disks of a process that runs. */
export function isOfPlugs(step: Step | { readonly do: 'Reap' }): step is Exclude<PlugStep, { do: 'Wait' }> {
  return plugSteps.includes(step.do)
}

/** Whether a step is done to a process that runs on. */
export function isOfProcess(step: { readonly do: string }): step is { readonly do: ProcessStep } {
  return processSteps.some((name) => name === step.do)
}

/** Guests lose a press of the power button while they boot. */
const PRESS_AGAIN_MS = 3000

/** Decides purely, from scratch each time: it does not matter which step an agent died in. */
export function decide(situation: Situation): Step {
  const power = powerFor(situation)
  if (situation.process !== 'None') return endOf(situation) ?? (isToEnd(situation) ? bringToEnd : keepOn)(situation)
  if (situation.surplus && power !== 'Absent') return { do: 'Release' }
  switch (power) {
    case 'Running':
      return start(situation)
    case 'Stopped':
      return { do: 'Wait' }
    case 'Absent':
      return situation.record.buriedAt === undefined ? { do: 'Bury' } : { do: 'Wait' }
  }
}

function powerFor({ record: { desired }, held }: Situation): DesiredMachine['power'] {
  return held && desired.power === 'Running' ? 'Stopped' : desired.power
}

function start({ record: { ended, retryAt }, now }: Situation): Step {
  if (ended !== undefined) return { do: 'Wait' }
  const waitMs = retryAt === undefined ? 0 : Date.parse(retryAt) - now.getTime()
  // It never is to wait for longer: somebody turned the clock back.
  const isOver = waitMs <= 0 || waitMs > LONGEST_DELAY_MS
  return isOver ? { do: 'Start' } : { do: 'Wait', forMs: waitMs }
}

/** What has ended inside is ended outside, whatever is wanted next. */
function endOf({ process }: Situation): Step | undefined {
  if (process === 'shutdown') return { do: 'End', how: 'Quit' }
  return process === 'guest-panicked' || process === 'internal-error' ? { do: 'End', how: 'Kill' } : undefined
}

function isToEnd(situation: Situation): boolean {
  return powerFor(situation) !== 'Running' || isRestartDue(situation.record)
}

/** A guest is not asked to end, to start again with disks that it cannot have. */
function bringToEnd(situation: Situation): Step {
  const isToComeBack = powerFor(situation) === 'Running'
  const isAsked = situation.shutdown !== undefined
  return isToComeBack && !isAsked && !situation.claimed ? { do: 'Claim' } : shutDown(situation)
}

function keepOn(situation: Situation): Step {
  if (situation.shutdown) return { do: 'CancelShutdown' }
  return steer(situation) ?? changeDisks(situation)
}

/** What the guest is to give back comes first; what it is to get is claimed before. */
function changeDisks({ plug, claimed, surplus }: Situation): Step {
  if (plug.do !== 'Wait' && plug.do !== 'Attach') return plug
  if (surplus) return { do: 'Release' }
  return claimed ? plug : { do: 'Claim' }
}

/** What its monitor has to be told. One that does not answer is told later. */
function steer({ record, process }: Situation): Step | undefined {
  const { paused = false, once } = record.desired
  if (process === 'Silent') return undefined
  if (once === 'Reset' && isDue(record)) return { do: 'Reset' }
  if (paused) return process === 'running' ? { do: 'Pause' } : undefined
  return isHalted({ record, process }) ? { do: 'Resume' } : undefined
}

/** QEMU calls it `prelaunch` as well when a guest was reset while it was halted: it does not go on by itself then. */
export function isHalted({ record: { launch }, process }: Pick<Situation, 'record' | 'process'>): boolean {
  return process === 'paused' || (process === 'prelaunch' && launch?.confirmed === true)
}

function shutDown({ record, process, shutdown, nowMs }: Situation): Step {
  const { gracePeriodSeconds } = record.desired
  const end: Step = { do: 'End', how: process === 'Silent' ? 'Kill' : 'Quit' }
  if (gracePeriodSeconds === 0) return end
  // A guest that is halted cannot obey.
  if (isHalted({ record, process })) return { do: 'Resume' }
  if (!shutdown) return { do: 'PressPowerButton' }
  const graceMs = shutdown.beganMs + gracePeriodSeconds * 1000 - nowMs
  if (graceMs <= 0) return end
  const pressInMs = shutdown.pressedMs + PRESS_AGAIN_MS - nowMs
  return pressInMs <= 0 ? { do: 'PressPowerButton' } : { do: 'Wait', forMs: Math.min(graceMs, pressInMs) }
}

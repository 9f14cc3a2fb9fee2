import { expect, test } from 'vitest'
import { decide, type Situation, type Step } from './decide.ts'
import { toHardware } from './hardware.ts'
import { newDesired } from './testing.ts'

const now = new Date('2026-01-01T00:00:00Z')
const inMs = (ms: number) => new Date(now.getTime() + ms).toISOString()
const running = { desired: newDesired({ power: 'Running', gracePeriodSeconds: 10 }) }
const stopped = { desired: newDesired({ power: 'Stopped', gracePeriodSeconds: 10 }) }
const absent = { desired: newDesired({ power: 'Absent', gracePeriodSeconds: 10 }) }
const { decision } = running.desired
const paused = { desired: { ...running.desired, paused: true } }
const reset = { desired: { ...running.desired, once: 'Reset' as const } }
const restart = { desired: { ...running.desired, once: 'Restart' as const } }
const atOnce = { desired: { ...stopped.desired, gracePeriodSeconds: 0 } }
const launch = (confirmed: boolean) => ({
  bootId: 'boot-1',
  hardware: toHardware(running.desired, 'pc-q35-7.2'),
  confirmed,
})
const attach = { do: 'Attach', slot: 1, id: decision.id } as const
const detach = { do: 'Detach', slot: 1, id: decision.id } as const
const at = (beganMs: number, pressedMs: number) => ({ shutdown: { beganMs, pressedMs }, nowMs: 100_000 })

function newSituation(change: Partial<Situation>): Situation {
  const rest = {
    held: false,
    shutdown: undefined,
    claimed: true,
    surplus: false,
    plug: { do: 'Wait' } as const,
    nowMs: 100_000,
    now,
  }
  return { record: running, process: 'None', ...rest, ...change }
}

test.each<[why: string, change: Partial<Situation>, step: Step]>([
  ['is off and wanted', {}, { do: 'Start' }],
  ['waits after a crash', { record: { ...running, retryAt: inMs(500) } }, { do: 'Wait', forMs: 500 }],
  ['waits for long after many', { record: { ...running, retryAt: inMs(300_000) } }, { do: 'Wait', forMs: 300_000 }],
  ['crashed before the clock was turned back', { record: { ...running, retryAt: inMs(300_001) } }, { do: 'Start' }],
  ['has waited after a crash', { record: { ...running, retryAt: inMs(-1) } }, { do: 'Start' }],
  ['ended by itself for good', { record: { ...running, ended: 'Crash' } }, { do: 'Wait' }],
  ['is off on a host that goes down', { held: true }, { do: 'Wait' }],
  ['is off and has a disk too many', { surplus: true }, { do: 'Release' }],
  ['is off and should be', { record: stopped }, { do: 'Wait' }],
  ['is off, should be, and has a disk too many', { record: stopped, surplus: true }, { do: 'Release' }],
  ['is off and to be forgotten', { record: absent, surplus: true }, { do: 'Bury' }],
  ['is forgotten', { record: { ...absent, buriedAt: inMs(0) } }, { do: 'Wait' }],

  ['runs as it should', { process: 'running' }, { do: 'Wait' }],
  ['runs and has a disk too many', { process: 'running', surplus: true }, { do: 'Release' }],
  ['runs with nobody knows which disks', { process: 'running', claimed: false, plug: { do: 'Look' } }, { do: 'Look' }],
  ['runs with a disk to unplug', { process: 'running', claimed: false, surplus: true, plug: detach }, detach],
  ['runs with a disk to claim and plug in', { process: 'running', claimed: false, plug: attach }, { do: 'Claim' }],
  ['runs with a disk to plug in', { process: 'running', plug: attach }, attach],
  ['is asked to give a disk back', { process: 'running', plug: { do: 'Wait', forMs: 7 } }, { do: 'Wait', forMs: 7 }],
  [
    'is to stop with a disk to unplug',
    { record: stopped, process: 'running', plug: detach },
    { do: 'PressPowerButton' },
  ],
  [
    'is to be started again with a disk that it may not get',
    { record: restart, process: 'running', claimed: false },
    { do: 'Claim' },
  ],
  [
    'was asked to end for a start with other disks',
    { record: restart, process: 'running', claimed: false, ...at(95_000, 99_000) },
    { do: 'Wait', forMs: 2_000 },
  ],
  [
    'is to be off, and not to come back',
    { record: stopped, process: 'running', claimed: false },
    { do: 'PressPowerButton' },
  ],
  ['runs without its claims', { process: 'running', claimed: false }, { do: 'Claim' }],
  ['runs and is silent', { process: 'Silent' }, { do: 'Wait' }],
  ['is paused by its disk', { process: 'io-error' }, { do: 'Wait' }],
  ['has shut itself down', { process: 'shutdown' }, { do: 'End', how: 'Quit' }],
  ['has panicked', { process: 'guest-panicked' }, { do: 'End', how: 'Kill' }],
  ['has failed inside', { process: 'internal-error' }, { do: 'End', how: 'Kill' }],
  ['is wanted again', { process: 'running', ...at(99_000, 99_000) }, { do: 'CancelShutdown' }],

  ['is to be paused', { record: paused, process: 'running' }, { do: 'Pause' }],
  ['is to be paused without its claims', { record: paused, process: 'running', claimed: false }, { do: 'Pause' }],
  ['is paused as it should', { record: paused, process: 'paused' }, { do: 'Wait' }],
  ['is to be paused and was by its disk', { record: paused, process: 'io-error' }, { do: 'Wait' }],
  ['is to be paused and is silent', { record: paused, process: 'Silent' }, { do: 'Wait' }],
  ['is to go on', { process: 'paused' }, { do: 'Resume' }],
  ['has yet to run', { record: { ...running, launch: launch(false) }, process: 'prelaunch' }, { do: 'Wait' }],
  [
    'was reset while it was halted',
    { record: { ...running, launch: launch(true) }, process: 'prelaunch' },
    { do: 'Resume' },
  ],
  [
    'was reset and is to be paused',
    { record: { ...paused, launch: launch(true) }, process: 'prelaunch' },
    { do: 'Wait' },
  ],
  [
    'was reset and is to stop',
    { record: { ...stopped, launch: launch(true) }, process: 'prelaunch' },
    { do: 'Resume' },
  ],
  ['is to be reset', { record: reset, process: 'running' }, { do: 'Reset' }],
  ['is to be reset and is paused by its disk', { record: reset, process: 'io-error' }, { do: 'Reset' }],
  ['is to be reset and is silent', { record: reset, process: 'Silent' }, { do: 'Wait' }],
  ['is off and to be reset', { record: reset }, { do: 'Start' }],
  ['was reset', { record: { ...reset, carriedOut: decision.id }, process: 'running' }, { do: 'Wait' }],
  [
    'was reset under an earlier decision',
    { record: { ...reset, carriedOut: 'other' }, process: 'running' },
    { do: 'Reset' },
  ],
  ['is to restart', { record: restart, process: 'running' }, { do: 'PressPowerButton' }],
  ['is to restart and has shut down', { record: restart, process: 'shutdown' }, { do: 'End', how: 'Quit' }],
  ['is off and to restart', { record: restart }, { do: 'Start' }],
  ['has restarted', { record: { ...restart, carriedOut: decision.id }, process: 'running' }, { do: 'Wait' }],

  ['is to stop at once', { record: atOnce, process: 'running' }, { do: 'End', how: 'Quit' }],
  ['is to stop at once and is silent', { record: atOnce, process: 'Silent' }, { do: 'End', how: 'Kill' }],
  ['is to stop and is paused', { record: stopped, process: 'paused' }, { do: 'Resume' }],
  ['is to stop', { record: stopped, process: 'running' }, { do: 'PressPowerButton' }],
  ['is to be forgotten', { record: absent, process: 'running' }, { do: 'PressPowerButton' }],
  ['runs on a host that goes down', { process: 'running', held: true }, { do: 'PressPowerButton' }],
  ['is stopping', { record: stopped, process: 'running', ...at(98_000, 99_000) }, { do: 'Wait', forMs: 2000 }],
  ['still does not stop', { record: stopped, process: 'running', ...at(96_000, 97_000) }, { do: 'PressPowerButton' }],
  ['has little time left', { record: stopped, process: 'running', ...at(91_000, 99_000) }, { do: 'Wait', forMs: 1000 }],
  ['had time enough', { record: stopped, process: 'running', ...at(90_000, 99_000) }, { do: 'End', how: 'Quit' }],
  ['had time and is silent', { record: stopped, process: 'Silent', ...at(90_000, 99_000) }, { do: 'End', how: 'Kill' }],
  ['has obeyed', { record: stopped, process: 'shutdown', ...at(98_000, 99_000) }, { do: 'End', how: 'Quit' }],
  ['panicked on the way', { record: stopped, process: 'guest-panicked' }, { do: 'End', how: 'Kill' }],
])('Machine that %s: %o leads to %o', (_why, change, step) => {
  expect(decide(newSituation(change))).toEqual(step)
})

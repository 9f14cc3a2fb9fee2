import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalError } from '../errors.ts'
import type { Home } from '../home.ts'
import { followLog, show } from '../platform/follow-log.ts'
import { findLeftGuests } from '../platform/left-guests.ts'
import { findRunning, readState } from '../platform/state.ts'
import { sendSignal, STOP_KEEPING_GUESTS } from '../processes/end-process.ts'
import { isAlive } from '../../lib/process-identity.ts'
import type { Terminal } from '../terminal.ts'

const POLL_MS = 100

/** Ends the platform, guests included unless they are to be kept. */
export async function stop(home: Home, keepGuests: boolean, terminal: Terminal): Promise<number> {
  const state = await findRunning(home)
  if (!state) return explainRest(home, terminal)
  const progress = followLog(home.log, (await stat(home.log)).size)
  sendSignal(state.supervisor.pid, keepGuests ? STOP_KEEPING_GUESTS : 'SIGTERM')
  while (await isAlive(state.supervisor)) {
    await show(progress, terminal)
    await sleep(POLL_MS)
  }
  await show(progress, terminal)
  if (await readState(home.state)) throw new LocalError('NOT_READY', `it did not end: see ${home.log}`)
  const code = await explainLeftGuests(home, terminal)
  return keepGuests ? 0 : code
}

async function explainRest(home: Home, terminal: Terminal): Promise<number> {
  terminal.print(`Holdfast does not run in ${home.root}.`)
  return explainLeftGuests(home, terminal)
}

async function explainLeftGuests(home: Home, terminal: Terminal): Promise<number> {
  const left = await findLeftGuests(home)
  if (left.length === 0) return 0
  const what = `left guests running (processes ${left.join(', ')})`
  terminal.print(`It ${what}: npm start takes them over, and npm stop then shuts them down.`)
  return 1
}

import { readdir, statfs } from 'node:fs/promises'
import type { Log } from '../lib/log.ts'
import type { StateProblem } from './contract.ts'
import { unreadableRecords } from './machine/record-store.ts'
import type { Reserve } from './reserve.ts'

const LOOK_MS = 5000
const LOW_BYTES = 256 * 1024

/** Whether the agent can keep what it is told, looked at every 5 s. */
export interface StateHealth extends Disposable {
  /** What a person has to help with. */
  readonly problem: StateProblem | undefined
}

export interface StateFolders {
  readonly stateDir: string
  /** Of the records of machines. */
  readonly machines: string
  readonly reserve: Reserve
  readonly log: Log
}

/** Looks for the first time before it returns. */
export async function followStateHealth(folders: StateFolders): Promise<StateHealth> {
  let problem = await findStateProblem(folders)
  let isLooking = false
  const look = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    try {
      problem = await findStateProblem(folders)
    } catch (error) {
      folders.log.error({ err: error }, 'the state folder cannot be looked at')
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => void look(), LOOK_MS)
  return {
    get problem() {
      return problem
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

/** Also sets aside what was used of the reserve, when there is space again. */
async function findStateProblem({ stateDir, machines, reserve }: StateFolders): Promise<StateProblem | undefined> {
  await reserve.refill()
  const { bavail, bsize, files, ffree } = await statfs(stateDir)
  if (!reserve.isWhole || bavail * bsize < LOW_BYTES || (files > 0 && ffree === 0)) {
    const message = `The file system of ${stateDir} on the host is full, so it takes no new machines: free some space there, and it goes on by itself`
    return { code: 'StateFull', message }
  }
  const unreadable = unreadableRecords(await readdir(machines))
  if (unreadable.length === 0) return undefined
  const message = `The host cannot read the records of these machines, whose guests run on if they ran: ${unreadable.slice(0, 3).join(', ')}: restore the files in ${machines}, or remove those that end in .unreadable`
  return { code: 'RecordsUnreadable', message }
}

import { setTimeout as sleep } from 'node:timers/promises'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import * as z from 'zod'
import { LocalError } from '../errors.ts'
import { lockHome, type Home } from '../home.ts'
import { isAlive, processIdentity } from '../../lib/process-identity.ts'

/** What runs, for whoever asks with `npm run status`. */
const platformState = z.object({
  supervisor: processIdentity,
  phase: z.enum(['Starting', 'Ready', 'Stopping']),
  since: z.iso.datetime(),
  kubeconfig: z.string(),
  programs: z.record(z.string(), processIdentity.nullable()),
  /** Ports of 127.0.0.1 on which metrics are served, by program or host. */
  metrics: z.record(z.string(), z.int()).optional(),
})
export type PlatformState = z.infer<typeof platformState>

/** The state of a platform whose supervisor lives; undefined when nothing runs. */
export async function readState(path: string): Promise<PlatformState | undefined> {
  const state = parse(await readTextFile(path))
  return state && (await isAlive(state.supervisor)) ? state : undefined
}

const AGAIN_MS = 5_000
const HEALED_MS = AGAIN_MS + 2_000
const POLL_MS = 250

/** As `readState`; of a platform that runs although its file is damaged, once it has written it again. */
export async function findRunning(home: Pick<Home, 'root' | 'state'>): Promise<PlatformState | undefined> {
  const deadline = performance.now() + HEALED_MS
  for (;;) {
    const state = await readState(home.state)
    if (state || !(await isLocked(home))) return state
    if (performance.now() > deadline) {
      const message = `Holdfast runs in ${home.root}, but cannot write there what it does: see that the disk is not full`
      throw new LocalError('HOME_UNUSABLE', message)
    }
    await sleep(POLL_MS)
  }
}

async function isLocked(home: Pick<Home, 'root'>): Promise<boolean> {
  try {
    await (await lockHome(home))[Symbol.asyncDispose]()
    return false
  } catch (error) {
    if (error instanceof LocalError && error.code === 'ALREADY_RUNS') return true
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false // There is no home yet.
    throw error
  }
}

export interface StateFile extends AsyncDisposable {
  update(change: Partial<PlatformState>): void
}

/**
 * Keeps the file equal to the state, whatever happens to it. It only tells people what runs, so that a full disk is
 * said and waited for, and ends nothing.
 */
export function newStateFile(path: string, first: PlatformState, say: (line: string) => void): StateFile {
  let state = first
  let writing = Promise.resolve()
  let isTold = false
  const save = async (last: Promise<void>) => {
    await last
    const text = JSON.stringify(state, null, 2)
    try {
      if ((await readTextFile(path)) !== text) await writePrivateFile(path, text)
      isTold = false
    } catch (error) {
      if (!isTold) say(`${path} cannot be written, and is tried again: ${String(error)}`)
      isTold = true
    }
  }
  const write = () => {
    writing = save(writing)
  }
  const timer = setInterval(write, AGAIN_MS)
  write()
  return {
    update(change) {
      state = { ...state, ...change }
      write()
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await writing
    },
  }
}

function parse(text: string | undefined): PlatformState | undefined {
  if (text === undefined) return undefined
  try {
    return platformState.parse(JSON.parse(text))
  } catch {
    return undefined // Of another version, or damaged. Whoever runs writes it again.
  }
}

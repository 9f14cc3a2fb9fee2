import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import * as z from 'zod'
import { isAlive, processIdentity } from '../../lib/process-identity.ts'

/** What runs, for whoever asks with `npm run status`. */
const platformState = z.object({
  supervisor: processIdentity,
  phase: z.enum(['Starting', 'Ready', 'Stopping']),
  since: z.iso.datetime(),
  kubeconfig: z.string(),
  programs: z.record(z.string(), processIdentity.nullable()),
})
export type PlatformState = z.infer<typeof platformState>

/** The state of a platform whose supervisor lives; undefined when nothing runs. */
export async function readState(path: string): Promise<PlatformState | undefined> {
  const state = parse(await readTextFile(path))
  return state && (await isAlive(state.supervisor)) ? state : undefined
}

/** Keeps the file equal to the state. Writes are in order, each whole. */
export function newStateFile(
  path: string,
  first: PlatformState,
): { update(change: Partial<PlatformState>): void; flush(): Promise<void> } {
  let state = first
  let writing = Promise.resolve()
  const save = async (last: Promise<void>) => {
    await last
    await writePrivateFile(path, JSON.stringify(state, null, 2))
  }
  return {
    update(change) {
      state = { ...state, ...change }
      writing = save(writing)
    },
    flush: () => writing,
  }
}

function parse(text: string | undefined): PlatformState | undefined {
  if (text === undefined) return undefined
  try {
    return platformState.parse(JSON.parse(text))
  } catch {
    return undefined // Of another version, or damaged: the lock file still tells who runs.
  }
}

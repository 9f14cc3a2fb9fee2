import { randomUUID } from 'node:crypto'
import { link, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { identify, isAlive, processIdentity, type ProcessIdentity } from '../../lib/process-identity.ts'

const GUARD_POLL_MS = 5

export interface Lock {
  release(): Promise<void>
}

/**
 * Takes the lock that a file stands for, or answers who holds it. A holder that was killed holds nothing: the file
 * names its process, start time and boot.
 */
export async function tryLock(path: string): Promise<{ lock: Lock } | { holder: ProcessIdentity }> {
  const own = await identify(process.pid)
  const text = JSON.stringify(own)
  for (;;) {
    if (await create(path, text)) return { lock: { release: () => release(path, text) } }
    const found = await readTextFile(path)
    if (found === undefined) continue
    const holder = parseHolder(found)
    if (holder && (await isAlive(holder))) return { holder }
    await removeStale(path, found)
  }
}

// The link makes the file appear with its whole text, or fails.
async function create(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`
  await writePrivateFile(draft, text)
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft)
  }
}

// One at a time, or whoever read the file before it changed would remove the lock of somebody who has it now.
async function removeStale(path: string, stale: string): Promise<void> {
  const guard = await tryLock(`${path}.takeover`)
  if ('holder' in guard) {
    await sleep(GUARD_POLL_MS)
    return
  }
  if ((await readTextFile(path)) === stale) await rm(path, { force: true })
  await guard.lock.release()
}

async function release(path: string, text: string): Promise<void> {
  if ((await readTextFile(path)) === text) await rm(path, { force: true })
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    return processIdentity.safeParse(JSON.parse(text)).data
  } catch {
    return undefined // Half written by a crash of the machine: nobody's.
  }
}

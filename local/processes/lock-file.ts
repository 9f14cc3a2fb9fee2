import { randomUUID } from 'node:crypto'
import { link, rename, rm } from 'node:fs/promises'
import { readTextFile, writePrivateFile } from '../../lib/tls/private-file.ts'
import { identify, isAlive, processIdentity, type ProcessIdentity } from './process-identity.ts'

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

// Another process may have taken the lock since it was read: what is moved away by mistake is put back.
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  if ((await readTextFile(aside)) === stale) await rm(aside)
  else await rename(aside, path)
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

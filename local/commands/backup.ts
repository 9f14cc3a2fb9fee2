import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { identify } from '../../lib/process-identity.ts'
import { copyFiles, whileFrozen } from '../backup/frozen.ts'
import { isThere, writeArchive } from '../backup/archive.ts'
import { LocalError } from '../errors.ts'
import { lockHome, restoreMark, type Home } from '../home.ts'
import { findRunning } from '../platform/state.ts'
import type { Terminal } from '../terminal.ts'

const DATA = 'etcd/data'
/** Followed by the pid of who makes it. */
const DRAFT = 'backup-draft-'

/** Writes the state of the platform, and the keys to it, into one file. The platform may run meanwhile. */
export async function backup(home: Home, target: string, terminal: Terminal): Promise<number> {
  if (!(await isThere(join(home.root, DATA, 'member')))) {
    const message = `there is no state in ${home.root}: start the platform first; that of a cluster which exists is backed up there`
    throw new LocalError('HOME_UNUSABLE', message)
  }
  if (await isThere(restoreMark(home))) {
    const how = 'do it once more with npm run restore -- FILE, and then back up'
    throw new LocalError(
      'HOME_UNUSABLE',
      `a restore of ${home.root} was cut off, and what is there is half of each: ${how}`,
    )
  }
  if (await isThere(target)) throw new LocalError('USAGE', `${target} exists already: name another file`)
  await removeDrafts(home)
  const draft = await mkdtemp(join(home.root, `${DRAFT}${process.pid}-`))
  try {
    await copyState(home, draft)
    const files = (await listFiles(draft)).toSorted()
    const about = { createdAt: new Date().toISOString(), home: home.root }
    await writeArchive(target, draft, files, about)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  const { size } = await stat(target)
  terminal.print(
    [
      `Backed up ${home.root} to ${target} (${(size / 2 ** 20).toFixed(1)} MiB): the state of the API server, keys and certificates, ports.`,
      'It holds the keys to every Secret: keep it as you keep those.',
      'Not in it: disks, images, and what agents know of their machines. npm run restore -- FILE restores it.',
    ].join('\n'),
  )
  return 0
}

/** What backups that were killed left of the state, keys included. */
export async function removeDrafts({ root }: Pick<Home, 'root'>): Promise<void> {
  for (const name of (await readdir(root)).filter((one) => one.startsWith(DRAFT))) {
    const maker = Number.parseInt(name.slice(DRAFT.length), 10)
    if (!(await identify(maker))) await rm(join(root, name), { recursive: true, force: true })
  }
}

/** The data of etcd at one moment, be it running or not, and what hardly ever changes. */
async function copyState(home: Home, draft: string): Promise<void> {
  const running = await findRunning(home)
  const etcd = running?.programs['etcd']
  if (running && !etcd) {
    const message =
      'etcd does not run in this platform now: see npm run status, and try again, or back up after npm stop'
    throw new LocalError('NOT_READY', message)
  }
  const copyData = async () => copyFiles(home.root, draft, (await listFiles(home.root, DATA)).filter(isData))
  if (etcd) await whileFrozen(etcd, copyData)
  else {
    await using _ = await lockHome(home) // So that nobody starts it meanwhile.
    await copyData()
  }
  const keys = [...(await listFiles(home.root, 'pki')), 'port', 'agent-port'].filter((file) => !file.endsWith('.tmp'))
  const there = await Promise.all(keys.map(async (file) => ((await isThere(join(home.root, file))) ? [file] : [])))
  await copyFiles(home.root, draft, there.flat())
}

// What etcd has yet to finish means nothing to the next one.
function isData(file: string): boolean {
  return !file.endsWith('.tmp') && !file.endsWith('.lock')
}

async function listFiles(root: string, below = ''): Promise<string[]> {
  const entries = await readdir(join(root, below), { withFileTypes: true })
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) return listFiles(root, path)
      return entry.isFile() ? [path] : []
    }),
  )
  return found.flat()
}

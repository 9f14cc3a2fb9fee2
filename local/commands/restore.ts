import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writePrivateFile } from '../../lib/tls/private-file.ts'
import { isThere, readArchive } from '../backup/archive.ts'
import { LocalError } from '../errors.ts'
import { lockHome, prepareHome, restoredFile, restoreMark, type Home } from '../home.ts'
import { findLeftGuests } from '../platform/left-guests.ts'
import { findRunning } from '../platform/state.ts'
import type { Terminal } from '../terminal.ts'

const DRAFT = 'restore-draft-'
/** What a backup puts back as a whole; what was there before is set aside. */
const PARTS = ['etcd/data', 'pki', 'port', 'agent-port'] as const

/** Puts the state in a backup in place of that of a platform that does not run. Hosts, guests and disks stay as they are. */
export async function restore(home: Home, source: string, terminal: Terminal): Promise<number> {
  const running = await findRunning(home)
  if (running) {
    const how = 'npm stop -- --keep-guests ends it and leaves its guests running'
    throw new LocalError('ALREADY_RUNS', `Holdfast runs in ${home.root} (process ${running.supervisor.pid}): ${how}`)
  }
  await prepareHome(home)
  await using _ = await lockHome(home)
  await removeDrafts(home)
  const draft = await mkdtemp(join(home.root, DRAFT))
  try {
    const { createdAt, home: origin } = await readArchive(source, draft)
    const aside = await replace(home, draft)
    const guests = await findLeftGuests(home)
    terminal.print(explain({ home, source, createdAt, origin, aside, guests }))
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return 0
}

/** What a restore that was killed left of the backup, keys included. */
async function removeDrafts({ root }: Home): Promise<void> {
  const left = (await readdir(root)).filter((name) => name.startsWith(DRAFT))
  await Promise.all(left.map((name) => rm(join(root, name), { recursive: true, force: true })))
}

/** Nothing starts between the first move and the last one; the same restore, done once more, ends one that was cut off. */
async function replace(home: Home, draft: string): Promise<string | undefined> {
  const mark = restoreMark(home)
  const aside = join(home.root, `before-restore-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
  await writePrivateFile(mark, '')
  for (const part of PARTS) {
    const target = join(home.root, part)
    if (await isThere(target)) await move(target, join(aside, part))
    if (await isThere(join(draft, part))) await move(join(draft, part), target)
  }
  await writePrivateFile(restoredFile(home), new Date().toISOString())
  await rm(mark)
  await syncFolder(home.root)
  return (await isThere(aside)) ? aside : undefined
}

async function move(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  await rename(from, to)
  await syncFolder(dirname(to))
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

interface Restored {
  readonly home: Home
  readonly source: string
  readonly createdAt: string
  readonly origin: string
  readonly aside: string | undefined
  readonly guests: readonly number[]
}

function explain({ home, source, createdAt, origin, aside, guests }: Restored): string {
  const elsewhere = `The backup is of ${origin}: its DataStorage local names a folder there, so start it in that folder.`
  return [
    `Restored ${home.root} to ${createdAt} from ${source}.`,
    ...(origin === home.root ? [] : [elsewhere]),
    ...(aside === undefined ? [] : [`What it replaced is in ${aside}: remove it when you are sure.`]),
    guests.length === 0
      ? 'No guest runs on this machine now.'
      : `Guests that run now are left as they are (processes ${guests.join(', ')}).`,
    '',
    'Next:',
    '  npm start -- --detach',
    '  kubectl get hfhost          guests that this state does not know are counted under ORPHANS',
    '  kubectl get hfvm            machines that are gone since say what they lack; delete them',
    'Controllers and watches that run elsewhere have to be started again. See docs/backup.md.',
  ].join('\n')
}

import { existsSync } from 'node:fs'
import { access, chmod, constants, mkdir, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { FolderInUse, lockFolder } from '../agent/lock.ts'
import { foldersOf } from '../agent/paths.ts'
import { LocalError } from './errors.ts'
import { keepRunFolder, runFolder } from './run-folder.ts'
import { dataFolder, namedFolder } from './user-folders.ts'

/** Where a local platform keeps everything, by absolute path. */
export interface Home {
  readonly root: string
  /** An administrator's, for people. */
  readonly kubeconfig: string
  /** What runs now; see `PlatformState`. */
  readonly state: string
  readonly logs: string
  /** What the platform told its user. */
  readonly log: string
  readonly agent: AgentHome
  /** Folder of the DataStorage `local`. */
  readonly storage: string
}

export interface AgentHome {
  readonly state: string
  /** Sockets; their paths are short. */
  readonly run: string
  readonly imports: string
  readonly pki: string
  readonly port: string
}

// Machines' own users pass through to their disks, and see nothing else.
const PASSABLE = 0o711
const ANOTHER = 'choose another folder with HOLDFAST_HOME'

/** The folder that HOLDFAST_HOME names, else the user's data directory; for root one that other users can pass through. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  const { HOLDFAST_HOME, INIT_CWD } = env
  // Where npm was called: it moves to the project first.
  if (HOLDFAST_HOME !== undefined && HOLDFAST_HOME !== '') return resolve(INIT_CWD ?? '.', HOLDFAST_HOME)
  if (isRoot()) return '/var/lib/holdfast'
  return dataFolder(env)
}

/** The places below a home. Makes nothing. */
export function homeAt(root: string, { XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): Home {
  return {
    root,
    kubeconfig: join(root, 'kubeconfig'),
    state: join(root, 'platform.json'),
    logs: join(root, 'logs'),
    log: join(root, 'logs', 'platform.log'),
    agent: {
      state: join(root, 'agent'),
      run: runFolder(root, namedFolder(XDG_RUNTIME_DIR) ?? (isRoot() ? '/run' : undefined)),
      imports: join(root, 'import'),
      pki: join(root, 'pki', 'agents'),
      port: join(root, 'agent-port'),
    },
    storage: join(root, 'storage'),
  }
}

/**
 * Makes sure that a home has one platform. Throws `ALREADY_RUNS`. The kernel holds the lock, so that nothing that
 * happens to the files in the home lets a second one in.
 */
export async function lockHome({ root }: Pick<Home, 'root'>): Promise<AsyncDisposable> {
  try {
    return await lockFolder(root)
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error
    const next = 'npm run status says what runs, npm stop ends it; another HOLDFAST_HOME starts a second one beside it'
    const message = `Holdfast already runs in ${root} (process ${error.holder}): ${next}`
    throw new LocalError('ALREADY_RUNS', message, { cause: error })
  }
}

/** The file that keeps the port on which a program serves its metrics. */
export function metricsPortFile({ root }: Pick<Home, 'root'>, program: string): string {
  return join(root, `${program}-metrics-port`)
}

/** The file that is there while a restore replaces the state: what is there then is half of each. */
export function restoreMark({ root }: Pick<Home, 'root'>): string {
  return join(root, 'restore-under-way')
}

/** The file that keeps when the state was last restored: a time as in RFC 3339. */
export function restoredFile({ root }: Pick<Home, 'root'>): string {
  return join(root, 'restored-at')
}

/** Where the agent keeps what machines print on their serial consoles: `MACHINE-ID.log`. */
export function serialFolder({ agent }: Home): string {
  return foldersOf(agent.state, agent.run).serial
}

/** Makes the folders of a home. Throws `HOME_UNUSABLE`. */
export async function prepareHome({ root, logs, agent, storage }: Home): Promise<void> {
  try {
    for (const folder of [root, agent.run, agent.imports, storage]) await makeFolder(folder, PASSABLE)
    for (const folder of [logs, dirname(agent.pki), agent.pki]) await makeFolder(folder, 0o700)
  } catch (error) {
    if (!(error instanceof Error) || codeOf(error) === undefined) throw error
    throw unusable(`${error.message}: ${ANOTHER}`, error)
  }
  const closed = isRoot() ? await closedFolder(root) : undefined
  if (closed !== undefined) {
    throw unusable(
      `guests run as users of their own, which cannot pass through ${closed} to their disks: ` +
        `${ANOTHER}, or chmod o+x ${closed}`,
    )
  }
  await keepRunFolder(root, agent.run)
}

/** Etcd alone begins with two files of 64 MB. */
const MIN_FREE_BYTES = 160 * 2 ** 20

/** Throws `HOME_UNUSABLE` where there is no room for a platform that is yet to be made. */
export async function refuseFullHome({ root }: Pick<Home, 'root'>): Promise<void> {
  if (existsSync(join(root, 'etcd', 'data', 'member'))) return
  const { bavail, bsize } = await statfs(root)
  const freeBytes = bavail * bsize
  if (freeBytes >= MIN_FREE_BYTES) return
  const [free, needed] = [freeBytes, MIN_FREE_BYTES].map((bytes) => `${Math.floor(bytes / 2 ** 20)} MiB`)
  throw unusable(
    `${root} has ${free} free, and a platform needs ${needed}: free some space, or set HOLDFAST_HOME to another folder`,
  )
}

/** Throws `HOME_UNUSABLE` where a home can never be, or is somebody else's. One that is not there yet may come. */
export async function refuseUnusableHome({ root }: Pick<Home, 'root'>): Promise<void> {
  try {
    if (!(await stat(root)).isDirectory()) throw unusable(`${root} is no folder: ${ANOTHER}`)
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return
    if (code === 'ENAMETOOLONG') throw unusable(`${root} has a name that is too long: ${ANOTHER}`, error)
    if (code === 'ENOTDIR') throw unusable(`what ${root} is in is no folder: ${ANOTHER}`, error)
    if (code === 'EACCES' || code === 'EROFS') throw unusable(`you may not use ${root}: ${ANOTHER}`, error)
    throw error
  }
}

async function makeFolder(path: string, mode: number): Promise<void> {
  await makeWithParents(path, mode)
  const found = await stat(path)
  if (!found.isDirectory()) throw unusable(`${path} is no folder: ${ANOTHER}`)
  if (found.uid !== process.getuid?.()) throw unusable(`${path} belongs to another user: ${ANOTHER}`)
  await chmod(path, mode)
}

// Node's own `recursive` tries for ever where a folder can be found and nothing be made in it, as in /proc.
async function makeWithParents(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makeWithParents(dirname(path), mode)
    await mkdir(path, { mode })
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && !(error instanceof LocalError) && 'code' in error ? error.code : undefined
}

/** The first folder on the way that others cannot pass through. */
async function closedFolder(path: string): Promise<string | undefined> {
  const above = dirname(path) === path ? undefined : await closedFolder(dirname(path))
  if (above !== undefined) return above
  const { mode } = await stat(path)
  return (mode & 0o001) === 0 ? path : undefined
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

function unusable(message: string, cause?: unknown): LocalError {
  return new LocalError('HOME_UNUSABLE', message, cause === undefined ? {} : { cause })
}

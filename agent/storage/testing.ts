import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { silentLog } from '../../lib/log.ts'
import type { Decision, DesiredDisk } from '../contract.ts'
import { newTemporaryNames, type Folder } from './files.ts'
import { openStorage, type Storage } from './storage.ts'

const exec = promisify(execFile)
const TIMEOUT_MS = 60_000

/** A folder that is gone when the test is. */
export async function newFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** A storage as one that was taken into use, without the storage around it. */
export async function newDiskFolder(path: string, name = 'fast'): Promise<Folder> {
  await Promise.all(['disks', 'images'].map((part) => mkdir(join(path, part), { recursive: true })))
  return { name, path, names: newTemporaryNames(randomUUID()) }
}

/** An agent's storage with one DataStorage, `fast`, on real files. */
export interface StorageWorld extends AsyncDisposable {
  readonly dir: string
  readonly importDir: string
  readonly storagePath: string
  readonly storage: Storage
  /** What another agent process would find. */
  reopen(): Promise<Storage>
}

export async function newStorageWorld({ qemuImg = 'qemu-img' } = {}): Promise<StorageWorld> {
  const folder = await newFolder()
  const [stateDir, importDir, storagePath] = ['state', 'import', 'storage'].map((name) => join(folder.path, name))
  const runDir = join(folder.path, 'run')
  if (stateDir === undefined || importDir === undefined || storagePath === undefined) throw new Error('unreachable')
  await Promise.all([stateDir, importDir, storagePath].map((path) => mkdir(path)))
  const reopen = () =>
    openStorage({
      hasOwnUsers: false,
      stateDir,
      runDir,
      importDir,
      downloadDir: join(stateDir, 'images'),
      qemuImg,
      log: silentLog,
    })
  const storage = await reopen()
  await storage.putStorage({ name: 'fast', path: storagePath })
  const end = () => folder[Symbol.asyncDispose]()
  return { dir: folder.path, importDir, storagePath, storage, reopen, [Symbol.asyncDispose]: end }
}

/** Runs a program that a test needs to prepare files, and fails with what it says. */
export async function call(program: string, ...args: string[]): Promise<string> {
  return (await exec(program, args, { timeout: TIMEOUT_MS })).stdout
}

export function blankDisk(sizeBytes = 2 ** 20): DesiredDisk {
  return { id: randomUUID(), storage: 'fast', sizeBytes }
}

export function newDecision(epoch = 1, ...follows: string[]): Decision {
  return { id: randomUUID(), epoch, follows }
}

export async function sha256Of(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

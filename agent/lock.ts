import { spawn } from 'node:child_process'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { isFullDisk } from './durable-file.ts'

const TIMEOUT_MS = 5000

/** Another process has the folder. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse'
  /** Number of the process, as it noted it. */
  readonly holder: string

  constructor(folder: string, holder: string) {
    super(`the state folder ${folder} is used by another agent (process ${holder}); stop that one first`)
    this.holder = holder
  }
}

/**
 * Makes sure that a folder has one owner: two agents would start one machine twice. Throws `FolderInUse`.
 * The kernel holds the lock for as long as this process has the file open, so kill -9 leaves nothing behind that a
 * later agent would have to judge. A pid file or a socket would have to be judged. Node has no flock(2), but the
 * lock belongs to the open file, which the program flock shares with us.
 */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const file = await open(join(folder, 'lock'), 'a+', 0o600)
  try {
    await flock(file, folder)
    await note(file)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** For people: who has it. On a full disk nobody is told, and the lock holds all the same. */
async function note(file: FileHandle): Promise<void> {
  try {
    await file.truncate(0)
    await file.write(`${process.pid}\n`)
  } catch (error) {
    if (!isFullDisk(error)) throw error
  }
}

async function flock(file: FileHandle, folder: string): Promise<void> {
  const child = spawn('flock', ['--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file.fd],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(new Error('the program flock is needed (package util-linux)', { cause })))
    child.once('exit', resolve)
  })
  if (code === 0) return
  if (code !== 1) throw new Error(`the state folder ${folder} cannot be locked`)
  const holder = (await file.readFile('utf8')).trim()
  throw new FolderInUse(folder, holder)
}

import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../lib/log.ts'
import { keepBounded } from './machine/bounded-log.ts'
import { QEMU_LOG_BYTES } from './machine/launch.ts'
import type { Folders } from './paths.ts'

const SERIAL_LOG_BYTES = 1024 * 1024
const LOOK_MS = 2000
/** QEMU says little, and what a guest can have it say is little too: its own logs are looked at less often. */
const LOOKS_A_QEMU_LOG = 5
// Machines' own users pass through to their files, and see no others.
const PASSABLE = 0o711

/** Makes an agent's folders. The state folder and the run folder may exist; others may be allowed to read them. */
export async function makeFolders(stateDir: string, folders: Folders): Promise<void> {
  await Promise.all([stateDir, folders.run].map((folder) => mkdir(folder, { recursive: true, mode: PASSABLE })))
  const secret = [folders.machines, folders.reserve]
  await Promise.all(secret.map((folder) => mkdir(folder, { recursive: true, mode: 0o700 })))
  await makeOwn(folders.logs, 0o700)
  await makeOwn(folders.serial, PASSABLE)
}

async function makeOwn(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, mode)
}

/** Keeps the serial logs at 1 MiB each, besides as much in their `.log.1`, and QEMU's own logs at 64 KiB. */
export function boundLogs({ serial, logs }: Folders, log: Log): Disposable {
  let isLooking = false
  let looks = 0
  const look = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    looks += 1
    try {
      await boundAll(serial, SERIAL_LOG_BYTES, log)
      if (looks % LOOKS_A_QEMU_LOG === 0) await boundAll(logs, QEMU_LOG_BYTES, log)
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => void look(), LOOK_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

async function boundAll(folder: string, maxBytes: number, log: Log): Promise<void> {
  const files = await logsIn(folder, log)
  for (const file of files) {
    try {
      await keepBounded(join(folder, file), maxBytes)
    } catch (err) {
      // What is wrong with one must not let the others grow.
      log.error({ folder, file, err }, 'a log cannot be kept within its bounds')
    }
  }
}

async function logsIn(folder: string, log: Log): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith('.log'))
  } catch (err) {
    log.error({ folder, err }, 'the logs of guests cannot be looked at')
    return []
  }
}

import { randomUUID } from 'node:crypto'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../lib/log.ts'
import { isFullDisk, writeDurably, writeIntoSpare } from './durable-file.ts'

/** How many files can be replaced after a file system is full, when others take every byte that becomes free. */
const SPARES = 16
/** Room for the longest record: 17 disks with names of 253 characters, each named in four places, come to 32 KiB. */
const SPARE_BYTES = 64 * 1024

/** Space that is kept for what must be stored also on a full file system, so that guests can be stopped and deleted. */
export interface Reserve {
  /** As `writeDurably`, into space that was set aside when there is no other. The folder must be on the same file system. */
  readonly write: (path: string, text: string) => Promise<void>
  /** Whether all of it is there. */
  readonly isWhole: boolean
  /** Makes what is missing of it, as far as there is space. */
  readonly refill: () => Promise<void>
}

/**
 * Takes up what is there of the reserve, and makes what is missing, as far as there is space. Each spare is a file whose
 * blocks are allocated: it becomes the new file by being overwritten and renamed, and needs neither space nor inode. So
 * nobody can take the space between its release and its use, as with a single file that is deleted in need.
 */
export async function openReserve(folder: string, log: Log): Promise<Reserve> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const spares = new Set((await readdir(folder)).filter((name) => names.includes(name)))
  const missing = new Set(names.filter((name) => !spares.has(name)))

  const refill = async (): Promise<void> => {
    for (const name of missing) {
      missing.delete(name)
      if (await makeSpare(join(folder, name), log)) spares.add(name)
      else return void missing.add(name)
    }
  }
  const writeToSpare = async (path: string, text: string): Promise<boolean> => {
    const [name] = spares
    if (name === undefined || Buffer.byteLength(text) > SPARE_BYTES) return false
    spares.delete(name)
    missing.add(name)
    await writeIntoSpare(join(folder, name), path, text)
    return true
  }
  await refill()

  return {
    refill,
    get isWhole() {
      return missing.size === 0
    },
    write: async (path, text) => {
      try {
        await writeDurably(path, text)
      } catch (error) {
        if (!isFullDisk(error) || !(await writeToSpare(path, text))) throw error
      }
      await refill()
    },
  }
}

const names = Array.from({ length: SPARES }, (_, index) => `spare-${index}`)

/** False when it cannot be made for now. What was to be stored is stored all the same. */
async function makeSpare(path: string, log: Log): Promise<boolean> {
  try {
    // Not zeros: what is stored compressed, or as a hole, would have no blocks.
    await writeDurably(
      path,
      randomUUID()
        .repeat(SPARE_BYTES / 32)
        .slice(0, SPARE_BYTES),
    )
    return true
  } catch (error) {
    if (!isFullDisk(error)) log.warn({ err: error }, 'space cannot be set aside for the state of the agent')
    return false
  }
}

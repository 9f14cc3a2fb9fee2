import { randomUUID } from 'node:crypto'
import { chmod, link, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { isTaken, readIfThere, syncFolder } from '../durable-file.ts'
import { DISKS, IMAGES, listIfThere, writeNewFile, type TemporaryNames } from './files.ts'
import type { Problem } from './folder-problem.ts'

/** A file that tells a storage from an empty mount point, and from every other storage. */
export interface Marker {
  readonly storage: string
  readonly id: string
}

const MARKER = '.holdfast-storage'
const usual: ReadonlySet<string> = new Set([DISKS, IMAGES, 'lost+found'])

const markerSchema = z.object({ storage: z.string().min(1), id: z.uuid() })

/** The marker of a folder; undefined when it has none, `Unreadable` when it is not one of ours. */
export async function readMarker(folder: string): Promise<Marker | 'Unreadable' | undefined> {
  const text = await readIfThere(join(folder, MARKER))
  if (text === undefined) return undefined
  try {
    return markerSchema.parse(JSON.parse(text))
  } catch {
    return 'Unreadable' // A person or another program wrote it. What is in the folder is not for us to judge.
  }
}

/** Takes a folder for a storage: marks it at its first use. Returns the marker, or why the folder is not for us. */
export async function takeFolder(folder: string, storage: string, names: TemporaryNames): Promise<Marker | Problem> {
  const found = await readMarker(folder)
  if (found === 'Unreadable') return notOurs(`The file ${MARKER} in ${folder} is damaged: restore it`)
  if (found === undefined && (await holdsData(folder))) {
    return notOurs(`There are disks in ${folder} and no file ${MARKER}: restore it`)
  }
  const marker = found ?? (await writeMarker(folder, storage, names))
  if (marker.storage !== storage)
    return notOurs(`The folder ${folder} belongs to DataStorage ${marker.storage}: name that one`)
  await makeFolders(folder)
  return marker
}

function notOurs(what: string): Problem {
  return { code: 'NotOurs', message: `${what}, or use another folder` }
}

/** Where another agent is faster, its marker counts: returned is what is there. */
async function writeMarker(folder: string, storage: string, names: TemporaryNames): Promise<Marker> {
  const made: Marker = { storage, id: randomUUID() }
  const temporary = names.path(folder)
  try {
    await writeNewFile(temporary, `${JSON.stringify(made)}\n`, 0o644)
    await link(temporary, join(folder, MARKER))
  } catch (error) {
    const found = isTaken(error) ? await readMarker(folder) : undefined
    if (found === undefined || found === 'Unreadable') throw error
    return found
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(folder)
  return made
}

async function makeFolders(folder: string): Promise<void> {
  const made = await Promise.all(
    [DISKS, IMAGES].map(async (name) => {
      const path = join(folder, name)
      const isNew = (await mkdir(path, { recursive: true })) !== undefined
      // Guests run as users of their own: they may reach a disk whose name they were given, and list nothing.
      if (isNew) await chmod(path, 0o711)
      return isNew
    }),
  )
  if (made.includes(true)) await syncFolder(folder)
}

/**
 * Why a folder that no storage has yet is not one for disks alone: it has files of somebody else. What a file system
 * has by itself does not count. Throws what `problemOf` understands, but not for a folder that is missing.
 */
export async function objectionToContents(folder: string): Promise<Problem | undefined> {
  const names = await listIfThere(folder)
  const stranger = names.find((name) => !usual.has(name) && !name.startsWith('.'))
  if (stranger === undefined || names.includes(MARKER)) return undefined
  const message = `The folder ${folder} has other files than disks, such as ${stranger}: make an empty one for the disks`
  return { code: 'NotOurs', message }
}

/** Whether disks or images lie in a folder. */
export async function holdsData(folder: string): Promise<boolean> {
  const contents = await Promise.all([DISKS, IMAGES].map((name) => listIfThere(join(folder, name))))
  return contents.flat().some((name) => !name.startsWith('.'))
}

import { realpath } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { isMissing } from '../durable-file.ts'
import type { Problem } from './folder-problem.ts'

/** Whose folder it is, for people, and every name that it has: as written, and where links lead. */
export interface TakenFolder {
  readonly of: string
  readonly paths: readonly string[]
}

const FOR_EXAMPLE = 'a folder for disks alone, such as /srv/holdfast/disks'
/** What lies there is lost when the host starts anew, or is no file at all. */
const passing = ['/dev', '/proc', '/run', '/sys']

/** The names of a folder. Of one that is not there, the one that was written. Throws what `problemOf` understands. */
export async function pathsOf(folder: string): Promise<string[]> {
  const path = resolve(folder)
  try {
    return [...new Set([path, await realpath(path)])]
  } catch (error) {
    if (isMissing(error)) return [path]
    throw error
  }
}

/** Why disks must never be kept there, whatever the folder looks like now. */
export function objectionToChoice(
  paths: readonly string[],
  own: readonly TakenFolder[],
  others: readonly TakenFolder[],
): Problem | undefined {
  const [path = ''] = paths
  if (paths.includes(sep)) return notOurs(`${path} is the host's root folder: choose ${FOR_EXAMPLE}`)
  const place = passing.find((folder) => paths.some((one) => one === folder || isBelow(folder, one)))
  if (place !== undefined) return notOurs(`${path} is in ${place}, where no disk lasts: choose ${FOR_EXAMPLE}`)
  const mine = own.find((folder) => isSame(paths, folder.paths) || isNested(paths, folder.paths))
  if (mine) return notOurs(`${path} is, contains or is in ${named(mine)}: choose ${FOR_EXAMPLE}`)
  // The same one has a marker that tells whose it is.
  const other = others.find((folder) => isNested(paths, folder.paths))
  return other && notOurs(`${path} contains or is in ${named(other)}: choose a folder outside of it`)
}

function notOurs(what: string): Problem {
  return { code: 'NotOurs', message: `The folder ${what}` }
}

function named({ of, paths: [path = ''] }: TakenFolder): string {
  return `${path}, the folder of ${of}`
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.some((path) => other.includes(path))
}

function isNested(one: readonly string[], other: readonly string[]): boolean {
  return one.some((a) => other.some((b) => isBelow(a, b) || isBelow(b, a)))
}

function isBelow(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}

import { createHash } from 'node:crypto'
import { lstatSync, readFileSync } from 'node:fs'
import { basename, isAbsolute, join } from 'node:path'
import { objectionToRunDir } from '../agent/paths.ts'
import { readTextFile, writePrivateFile } from '../lib/tls/private-file.ts'

/**
 * The folder of a platform's sockets: below its home where that is short enough, so that two platforms never meet. Else
 * that of the last start while it is there, for guests that run are found by it, or one below `runtime`.
 */
export function runFolder(root: string, runtime: string | undefined): string {
  const own = join(root, 'run')
  if (objectionToRunDir(own) === undefined) return own
  const kept = keptFolder(root)
  if (kept !== undefined) return kept
  return runtime === undefined ? own : join(runtime, nameFor(root))
}

/** Remembers the folder for the next start, whose environment may name another. */
export async function keepRunFolder(root: string, folder: string): Promise<void> {
  if (folder === join(root, 'run') || (await readTextFile(fileOf(root))) === folder) return
  await writePrivateFile(fileOf(root), folder)
}

/** One that is gone, or that belongs to the home that this one is a copy of, is as good as none. */
function keptFolder(root: string): string | undefined {
  try {
    const folder = readFileSync(fileOf(root), 'utf8')
    if (!isAbsolute(folder) || basename(folder) !== nameFor(root) || objectionToRunDir(folder) !== undefined) {
      return undefined
    }
    const found = lstatSync(folder)
    return found.isDirectory() && found.uid === process.getuid?.() ? folder : undefined
  } catch {
    return undefined // Whether the home can be used at all is looked at later.
  }
}

function fileOf(root: string): string {
  return join(root, 'run-folder')
}

function nameFor(root: string): string {
  return `holdfast-${createHash('sha256').update(root).digest('hex').slice(0, 8)}`
}

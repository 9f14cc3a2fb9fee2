import { stat } from 'node:fs/promises'
import { dirname, sep } from 'node:path'
import type { Problem } from './folder-problem.ts'

const MAY_PASS = 0o001

/**
 * Why guests, each of which runs as a user of its own, could not open what lies in a folder: it, or one above it, lets
 * only its owner through. `realPath` has no links in it. What throws is understood by `problemOf`.
 */
export async function objectionToAccess(realPath: string): Promise<Problem | undefined> {
  for (const folder of [realPath, ...foldersAbove(realPath)].toReversed()) {
    const { mode } = await stat(folder)
    if ((mode & MAY_PASS) === 0) {
      const message = `Guests cannot pass through ${folder}, for each runs as a user of its own: allow it with chmod o+x ${folder}, or choose another folder`
      return { code: 'NotPassable', message }
    }
  }
  return undefined
}

function foldersAbove(path: string): string[] {
  const above = dirname(path)
  return above === path || path === sep ? [] : [above, ...foldersAbove(above)]
}

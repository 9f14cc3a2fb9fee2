import { readdir, readFile } from 'node:fs/promises'

/**
 * What a process was started with; nothing of one that is gone. Of one whose main thread ended before the others its own
 * file is empty, and theirs are not.
 */
export async function argsOf(pid: number): Promise<string[]> {
  const own = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(ifGone(''))
  if (own !== '') return own.split('\0')
  const tasks = await readdir(`/proc/${pid}/task`).catch(ifGone<string[]>([]))
  const paths = tasks.map((task) => `/proc/${pid}/task/${task}/cmdline`)
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(ifGone(''))))
  return (texts.find((text) => text !== '') ?? '').split('\0')
}

function ifGone<T>(otherwise: T): (error: unknown) => T {
  return (error) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ESRCH') return otherwise
    throw error
  }
}

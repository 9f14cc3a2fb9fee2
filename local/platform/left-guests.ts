import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextFile } from '../../lib/tls/private-file.ts'
import type { Home } from '../home.ts'

/** Processes of guests that run although no platform does, because it was killed. */
export async function findLeftGuests({ agent }: Home): Promise<number[]> {
  const machines = await readdir(agent.run).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  const pids = await Promise.all(machines.map(async (id) => Number(await readTextFile(join(agent.run, id, 'pid')))))
  const alive = await Promise.all(pids.map((pid, index) => isGuest(pid, join(agent.run, machines[index] ?? ''))))
  return pids.filter((_, index) => alive[index])
}

// The number may meanwhile be another program's: a guest's arguments name its own folder.
async function isGuest(pid: number, folder: string): Promise<boolean> {
  if (!Number.isInteger(pid) || pid <= 0) return false
  return (await commandLineOf(pid)).includes(`${folder}/`)
}

// One that was killed may wait for storage in a thread that is not its main one, and only that has a command line then.
async function commandLineOf(pid: number): Promise<string> {
  const own = await readTextFile(`/proc/${pid}/cmdline`)
  if (own === undefined || own !== '') return own ?? ''
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const texts = tasks.map((task) => readTextFile(`/proc/${pid}/task/${task}/cmdline`).catch(() => ''))
  return (await Promise.all(texts)).join('')
}

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { argsOf } from '../../lib/process-arguments.ts'
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
  return (await argsOf(pid)).some((arg) => arg.includes(`${folder}/`))
}

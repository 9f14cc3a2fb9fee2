import { eventually, type Platform } from './platform.ts'

/** Does that while a program of the platform is not there, as after a crash that nobody mends. */
export async function without<T>(platform: Platform, program: string, act: () => Promise<T>): Promise<T> {
  const [supervisor, victim] = [await platform.pid('supervisor'), await platform.pid(program)]
  process.kill(supervisor, 'SIGSTOP') // It would start the program again.
  try {
    process.kill(victim, 'SIGKILL')
    return await act()
  } finally {
    process.kill(supervisor, 'SIGCONT')
    await eventually(async () => (await platform.pid(program).catch(() => victim)) !== victim)
  }
}

/** Does that while a program of the platform is there, and does nothing. */
export async function whileFrozen<T>(platform: Platform, program: string, act: () => Promise<T>): Promise<T> {
  const pid = await platform.pid(program)
  process.kill(pid, 'SIGSTOP')
  try {
    return await act()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

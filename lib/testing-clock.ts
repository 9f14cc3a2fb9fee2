import { access, writeFile } from 'node:fs/promises'

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

/** Whether there is libfaketime, which sets the clock of a single process. */
export async function canSetClock(): Promise<boolean> {
  try {
    await access(LIBRARY)
    return true
  } catch {
    return false // Whatever keeps it from being used.
  }
}

export interface SettableClock {
  /** For the process. */
  readonly env: Readonly<Record<string, string>>
  /** How far it is from the true time, such as `+1d`. */
  set(offset: string): Promise<void>
}

/** A wall clock that is set while a process runs. What only grows is not touched, as on a real host. */
export async function newClock(file: string): Promise<SettableClock> {
  const set = (offset: string) => writeFile(file, `${offset}\n`)
  await set('+0d')
  const env = {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  }
  return { env, set }
}

import { setTimeout as sleep } from 'node:timers/promises'
import { tryLock } from '../../local/processes/lock-file.ts'
import { GuestImageError } from './errors.ts'

const POLL_MS = 200
const WAIT_TIMEOUT_MS = 15 * 60_000

/** Waits until no other living process holds the lock file, then holds it until disposed of. Throws Busy. */
export async function holdLock(path: string, log: (message: string) => void): Promise<AsyncDisposable> {
  const deadline = performance.now() + WAIT_TIMEOUT_MS
  for (let told = false; ; told = true) {
    const attempt = await tryLock(path)
    if ('lock' in attempt) return { [Symbol.asyncDispose]: () => attempt.lock.release() }

    const { pid } = attempt.holder
    if (performance.now() > deadline) {
      throw new GuestImageError('Busy', `Process ${pid} has been building the guest image for too long: end it`)
    }
    if (!told) log(`waiting for process ${pid}, which builds it`)
    await sleep(POLL_MS)
  }
}

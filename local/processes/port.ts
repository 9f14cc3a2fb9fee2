import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the ports that kernels hand out for outgoing connections, so that one kept for the next start stays free.
const FIRST_PORT = 20_000
const LAST_PORT = 29_999

/** Whether a program could listen on this TCP port of 127.0.0.1 now. */
export async function isFreePort(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return true
  } catch {
    return false // Taken, or not ours to take.
  } finally {
    server.close()
  }
}

/** A free TCP port of 127.0.0.1 that is none of `taken`. */
export async function findFreePort(taken: readonly number[] = []): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    if (!taken.includes(port) && (await isFreePort(port))) return port
  }
}

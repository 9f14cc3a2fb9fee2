import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

// Below the ports that kernels hand out for outgoing connections, so that one kept for the next start stays free.
const FIRST_PORT = 20_000
const LAST_PORT = 29_999
const ADDRESS = '127.0.0.1'
/** Where a port is held that was chosen: another address of this computer, on which nothing of ours is served. */
const HELD_AT = '127.0.0.2'

/** Whether a program could listen on this TCP port of 127.0.0.1 now. */
export async function isFreePort(port: number): Promise<boolean> {
  const server = await listen(port, ADDRESS)
  server?.close()
  return server !== undefined
}

/**
 * A free TCP port of 127.0.0.1 that is none of `taken`. It is held for as long as this process lives, so that no other
 * platform chooses it before a program listens there: a dozen that start at once would in one of ten times.
 */
export async function findFreePort(taken: readonly number[] = []): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1)
    const hold = taken.includes(port) ? undefined : await listen(port, HELD_AT)
    if (!hold) continue
    hold.unref()
    if (await isFreePort(port)) return port
    hold.close()
  }
}

/** Undefined where the port is taken, or not ours to take. */
async function listen(port: number, address: string): Promise<Server | undefined> {
  const server = createServer().listen(port, address)
  try {
    await once(server, 'listening')
    return server
  } catch {
    return undefined
  }
}

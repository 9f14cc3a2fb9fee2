import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { newAuthority } from '../../lib/tls/authority.ts'
import { onInterruption } from '../interruption.ts'

const MAIN = fileURLToPath(new URL('allow-everything.ts', import.meta.url))
const ADDRESS = '127.0.0.1'
const listening = z.object({ port: z.int() })

/** A webhook that allows everything, in a process of its own. */
export interface Floor extends AsyncDisposable {
  readonly origin: string
  /** Whom its callers trust, PEM. */
  readonly ca: string
}

/**
 * Starts the floor: node:https alone, which is the least that a webhook in Node.js is. Keys, certificates and what it asks
 * callers for are as those of ours. `clientCa` is PEM.
 */
export async function startFloor(clientCa: string): Promise<Floor> {
  const authority = await newAuthority('holdfast-bench')
  const { certificate: cert, key } = await authority.issue({
    commonName: 'allow-everything',
    ips: [ADDRESS],
    usages: ['Server'],
  })
  const child = fork(MAIN)
  const exit = once(child, 'exit')
  const interruption = onInterruption(() => void child.kill())
  const answer = Promise.race([once(child, 'message'), exit])
  child.send({ cert, key, ca: clientCa })
  const { port } = listening.parse((await answer)[0])
  return {
    origin: `https://${ADDRESS}:${port}`,
    ca: authority.certificate,
    async [Symbol.asyncDispose]() {
      child.kill()
      await exit
      interruption[Symbol.dispose]()
    },
  }
}

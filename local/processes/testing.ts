import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { identify, type ProcessIdentity } from '../../lib/process-identity.ts'

interface Started {
  readonly child: ChildProcess
  readonly identity: ProcessIdentity
  /** What it printed first. */
  readonly output: string
}

/** A shell script at work, once it has printed something. Who starts it has to end it. */
export async function startScript(script: string): Promise<Started> {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [output] = (await once(child.stdout, 'data')) as [Buffer] // oxlint-disable-line typescript/no-unsafe-type-assertion -- as Node documents it
  const identity = await identify(child.pid ?? 0)
  if (!identity) throw new Error('the script ended at once')
  return { child, identity, output: String(output) }
}

/** The identity of a process that has ended. */
export async function deadProcess(): Promise<ProcessIdentity> {
  const { child, identity } = await startScript('echo; exec sleep 60')
  child.kill('SIGKILL')
  await once(child, 'exit')
  return identity
}

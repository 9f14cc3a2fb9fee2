import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { loadOrCreateAuthority, loadOrIssue } from '../../lib/tls/authority.ts'
import { freePort } from './free-port.ts'
import type { Platform } from './platform.ts'

export interface SecondAgent extends AsyncDisposable {
  readonly port: number
  /** Folder for a data storage. */
  readonly storage: string
  /** Ends it as kill -9 does. */
  kill(): Promise<void>
}

const MAIN = join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** An agent of another host, as it would run there: a process and folders of its own, an identity of the same authority. */
export async function startAgent(
  platform: Platform,
  name: string,
  env: NodeJS.ProcessEnv = {},
  knownPort?: number,
): Promise<SecondAgent> {
  const folder = join(platform.home, name)
  const at = (...parts: string[]) => join(folder, ...parts)
  for (const part of ['', 'import', 'storage']) await mkdir(at(part), { recursive: true, mode: 0o711 })
  const guest = 'holdfast-guest.qcow2'
  await copyFile(join(platform.home, 'import', guest), at('import', guest))
  const authority = await loadOrCreateAuthority(join(platform.home, 'pki', 'agents'), 'holdfast-agents')
  await loadOrIssue(authority, { folder, name: 'tls', commonName: name, dnsNames: [name], usages: ['Server'] })

  const port = knownPort ?? (await freePort())
  await using log = await open(at('log'), 'a')
  const child = spawn(process.execPath, [MAIN], {
    stdio: ['ignore', log.fd, log.fd],
    env: {
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      PATH: process.env['PATH'],
      HOLDFAST_AGENT_NAME: name,
      HOLDFAST_AGENT_STATE_DIR: at('state'),
      HOLDFAST_AGENT_RUN_DIR: at('run'),
      HOLDFAST_AGENT_IMPORT_DIR: at('import'),
      HOLDFAST_AGENT_PORT: String(port),
      HOLDFAST_AGENT_TLS_CERT: at('tls.crt'),
      HOLDFAST_AGENT_TLS_KEY: at('tls.key'),
      HOLDFAST_AGENT_CLIENT_CA: join(platform.home, 'pki', 'agents', 'ca.crt'),
      HOLDFAST_AGENT_QEMU_UID_BASE: '1879200000',
      ...env,
    },
  })
  const exit = once(child, 'exit')
  return {
    port,
    storage: at('storage'),
    async kill() {
      child.kill('SIGKILL')
      await exit
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exit
    },
  }
}

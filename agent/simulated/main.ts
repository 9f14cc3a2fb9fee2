import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import * as z from 'zod'
import { systemClock } from '../../lib/clock.ts'
import { createLog, type Log } from '../../lib/log.ts'
import { newAgentMetrics } from '../metrics/agent-metrics.ts'
import { buildApp, type ServerDeps } from '../server.ts'
import { openTerms } from '../terms.ts'
import { callerName, readTlsFiles } from '../../lib/tls/server-files.ts'
import { newSimulatedHost } from './host.ts'
import { takeSample } from './sample.ts'

const path = z.string().refine(isAbsolute, 'write an absolute path')
const count = z.string().regex(/^\d+$/, 'write a whole number').transform(Number)

const environment = z
  .object({
    /** Each with its name and its port, such as `simulated-1=8444,simulated-2=8445`. */
    HOLDFAST_SIMULATED_HOSTS: z.string().regex(/^[a-z0-9-]+=\d+(,[a-z0-9-]+=\d+)*$/, 'write NAME=PORT,NAME=PORT'),
    HOLDFAST_SIMULATED_START_MS: count,
    HOLDFAST_SIMULATED_STATE_DIR: path,
    HOLDFAST_AGENT_TLS_CERT: path,
    HOLDFAST_AGENT_TLS_KEY: path,
    HOLDFAST_AGENT_CLIENT_CA: path,
    HOLDFAST_AGENT_CLIENT_NAMES: z.string(),
    HOLDFAST_AGENT_METRICS_NAMES: z.string().default('holdfast-metrics'),
  })
  .transform((env) => ({
    hosts: env.HOLDFAST_SIMULATED_HOSTS.split(',').map((entry) => {
      const [name = '', port = ''] = entry.split('=')
      return { name, port: Number(port) }
    }),
    startMs: env.HOLDFAST_SIMULATED_START_MS,
    stateDir: env.HOLDFAST_SIMULATED_STATE_DIR,
    clientNames: env.HOLDFAST_AGENT_CLIENT_NAMES.split(','),
    readerNames: env.HOLDFAST_AGENT_METRICS_NAMES.split(','),
    tls: {
      certificate: env.HOLDFAST_AGENT_TLS_CERT,
      key: env.HOLDFAST_AGENT_TLS_KEY,
      clientCa: env.HOLDFAST_AGENT_CLIENT_CA,
    },
  }))
type Config = z.infer<typeof environment>

/** Serves the agent's contract for many hosts that have no guests. */
async function serve({ hosts, startMs, stateDir, clientNames, readerNames, tls }: Config, log: Log): Promise<void> {
  await mkdir(stateDir, { recursive: true })
  const https = await readTlsFiles(tls)
  for (const { name, port } of hosts) {
    const agent = newSimulatedHost({ name, startMs, clock: systemClock })
    const terms = await openTerms(join(stateDir, `${name}.term`), log)
    const metrics = newAgentMetrics({ name, take: () => takeSample(agent), clock: systemClock, ofProcess: false })
    const callerOf: ServerDeps['callerOf'] = ({ raw }) => callerName(raw.socket)
    const app = buildApp({ agent, log, terms, clientNames, readerNames, metrics, callerOf, https })
    await app.listen({ host: '127.0.0.1', port })
  }
  log.info({ hosts: hosts.length }, 'the simulated hosts are ready')
}

try {
  const log = createLog('holdfast-simulated-hosts', 'info')
  await serve(environment.parse(process.env), log)
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  process.exit(0)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}

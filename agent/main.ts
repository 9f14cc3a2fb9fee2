import { once } from 'node:events'
import type { FastifyRequest } from 'fastify'
import { systemClock } from '../lib/clock.ts'
import { createLog, type Log } from '../lib/log.ts'
import { newAgent } from './agent.ts'
import { parseConfig, type AgentConfig } from './config.ts'
import type { ObservedMachine } from './contract.ts'
import { removeLeftovers } from './durable-file.ts'
import { newEventHub } from './event-hub.ts'
import { explainStart } from './explain.ts'
import { boundLogs, makeFolders } from './folders.ts'
import { lookAtHost } from './hypervisor.ts'
import { lockFolder } from './lock.ts'
import { newLauncher } from './machine/launcher.ts'
import { openMachines } from './machine/machines.ts'
import { openRecordStore } from './machine/record-store.ts'
import { newUids } from './machine/uids.ts'
import { newAgentMetrics } from './metrics/agent-metrics.ts'
import { readHostUsage } from './metrics/host-usage.ts'
import type { Sample } from './metrics/sampler.ts'
import { foldersOf } from './paths.ts'
import { openReserve } from './reserve.ts'
import { run } from './run.ts'
import { buildApp } from './server.ts'
import { followStateHealth } from './state-health.ts'
import { probeSandbox } from './storage/sandbox.ts'
import { openStorage } from './storage/storage.ts'
import { openTerms } from './terms.ts'
import { readVersion } from './version.ts'
import { callerName, followTlsFiles, readTlsFiles } from '../lib/tls/server-files.ts'

const PROBE_MS = 10_000

/** Everything that an agent has open, in the order in which it was opened. Guests are no part of it: they run on. */
async function open(config: AgentConfig, log: Log, opened: AsyncDisposableStack): Promise<void> {
  const folders = foldersOf(config.stateDir, config.runDir)
  await makeFolders(config.stateDir, folders)
  opened.use(await lockFolder(config.stateDir))
  await Promise.all([config.stateDir, folders.reserve, folders.run].map(removeLeftovers))
  const reserve = await openReserve(folders.reserve, log)

  const { stateDir, runDir, importDir, downloadDir, qemuImg, userNetwork, directIo, qemu: program } = config
  const hasOwnUsers = process.getuid?.() === 0
  const askQemu = async (args: readonly string[]) => (await run(program, args, { timeoutMs: PROBE_MS })).stdout
  const [hypervisor, imageSandbox, storage, records, terms, https] = await Promise.all([
    lookAtHost(askQemu),
    probeSandbox(),
    openStorage({ stateDir, runDir, importDir, downloadDir, hasOwnUsers, qemuImg, log }),
    openRecordStore(folders.machines, log, reserve),
    openTerms(folders.term, log, reserve.write),
    readTlsFiles(config),
  ])
  const uids = hasOwnUsers ? { uids: newUids(config.qemuUidBase) } : {}
  const launcher = newLauncher({ program, folders, userNetwork, directIo, hypervisor, log, ...uids })
  const stateProblem = () => health.problem
  const events = newEventHub(stateProblem)
  storage.onChange((event) => events.publish(event))
  const onChange = (machine: ObservedMachine) => events.publish({ type: 'Machine', machine })
  const machines = await openMachines({ records, storage, hypervisor, launcher, clock: systemClock, log, onChange })
  opened.use(machines)
  const health = opened.use(await followStateHealth({ stateDir, machines: folders.machines, reserve, log }))

  const { name, clientNames, readerNames } = config
  const version = { version: readVersion() }
  const agent = newAgent({ name, ...version, imageSandbox, stateProblem, hypervisor, machines, storage, events })
  const take = async (): Promise<Sample> => {
    const [measured, storages] = await Promise.all([machines.measure(), storage.measure()])
    return { host: readHostUsage(), machines: measured, storages }
  }
  const metrics = newAgentMetrics({ name, take, clock: systemClock, ofProcess: true })
  const callers = { clientNames, readerNames, callerOf: ({ raw }: FastifyRequest) => callerName(raw.socket) }
  const app = buildApp({ agent, log, terms, metrics, ...callers, https })
  opened.defer(() => app.close())
  await app.listen({ host: config.listen, port: config.port })
  // Not before: an agent whose port is taken leaves everything as it is.
  machines.begin()
  opened.use(boundLogs(folders, log))
  opened.use(followTlsFiles(app.server, config, log))
  log.info({ host: name, addresses: app.addresses() }, 'the agent is ready')
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

async function main(): Promise<void> {
  // Guests' users pass through the folders that are made here. What is not for others says so itself.
  process.umask(0o022)
  const config = parseConfig(process.env)
  const log = createLog('holdfast-agent', config.logLevel)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  await using opened = new AsyncDisposableStack()
  try {
    await open(config, log, opened)
  } catch (error) {
    log.error({ err: error }, 'the agent cannot start')
    fail(explainStart(error, config) ?? 'the agent cannot start; the reason is above')
  }
  await once(stop.signal, 'abort')
  log.info('the agent ends; guests run on')
  await opened.disposeAsync()
  process.exit(0)
}

try {
  await main()
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}

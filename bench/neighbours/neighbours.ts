import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Host } from '../../crds/host.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import type { BenchOptions } from '../options.ts'
import { startPlatform } from '../platform.ts'
import { destroyingSettings, setUp } from '../settings.ts'
import { readAgentTls } from '../scale/hosts.ts'
import { createMachine, deleteMachines, followPopulation, inParallel, type Population } from '../scale/machines.ts'
import { median, round, table } from '../statistics.ts'
import { flood } from './flood.ts'

const HOSTS = 50
const LANES = 50
const SLOW_MS = 2_000
/** Machines that are to be on the slow host meanwhile. */
const ON_SLOW = 40
const NOTICED_MS = 60_000

/** Hosts that stand behind a proxy, for a while or for good. */
interface Neighbours {
  readonly slow: FaultProxy
  readonly dead: FaultProxy
  readonly flooding: FaultProxy
}

/** Machines on hosts that are well, while three others are slow, dead and flooding; next to the same when all are well. */
export async function benchNeighbours({ rounds, machines, env, say }: BenchOptions) {
  say(`starting a platform with ${HOSTS} simulated hosts`)
  await using platform = await startPlatform(env, ['--simulated-hosts', String(HOSTS), '--start-delay', '0'])
  const { kube, home } = platform
  await setUp(kube, await destroyingSettings(kube))
  await using population = followPopulation(kube)
  await using stack = new AsyncDisposableStack()
  const [slow, dead, flooding] = [1, 2, 3].map(nameOf)
  const proxies: Neighbours = {
    slow: stack.use(await proxyBefore(kube, home, slow ?? '')),
    dead: stack.use(await proxyBefore(kube, home, dead ?? '')),
    flooding: stack.use(await proxyBefore(kube, home, flooding ?? '')),
  }
  const stage = { kube, population, machines }
  await untilConnected(kube, [slow, dead, flooding])
  await makeOnHealthy(stage, 'warm-')
  await removeAll(stage)

  const [well, troubled]: [number[], number[]] = [[], []]
  for (let index = 1; index <= rounds; index++) {
    await giveMore(stage, slow ?? '', `beside-well-${index}-`)
    well.push(machines / (await makeOnHealthy(stage, `well-${index}-`)))
    await removeAll(stage)
    await createMachine(kube, `flooder-${index}`, flooding)
    await population.untilReady(`flooder-${index}`, 1)
    begin(proxies)
    await giveMore(stage, slow ?? '', `beside-troubled-${index}-`)
    troubled.push(machines / (await makeOnHealthy(stage, `troubled-${index}-`)))
    end(proxies)
    await population.untilReady(`beside-troubled-${index}-`, ON_SLOW)
    await untilConnected(kube, [slow, dead, flooding])
    await removeAll(stage)
    say(
      `round ${index} of ${rounds}: ${(well.at(-1) ?? 0).toFixed(1)} machines a second when all are well, ${(troubled.at(-1) ?? 0).toFixed(1)} beside the three`,
    )
  }
  return report({ well, troubled, machines, say })
}

const nameOf = (number: number) => `simulated-${number}`

/** Puts a proxy between the controllers and a host. */
async function proxyBefore(kube: Kube, home: string, name: string): Promise<FaultProxy> {
  const path = objectPath(Host, { name })
  const { body } = await kube.send<{ spec: { port: number } }>({ method: 'GET', path })
  const tls = await readAgentTls(home)
  const read = (suffix: string) => readFile(join(home, 'pki', 'agents', `simulated-hosts-${HOSTS}.${suffix}`), 'utf8')
  const proxy = await FaultProxy.start({
    port: body.spec.port,
    serverName: name,
    ca: tls.ca,
    server: { certificate: await read('crt'), key: await read('key') },
    client: { certificate: tls.certificate, key: tls.key },
  })
  const contentType = 'application/merge-patch+json'
  await kube.send({ method: 'PATCH', path, contentType, body: { spec: { port: proxy.port } } })
  return proxy
}

async function untilConnected(kube: Kube, names: readonly (string | undefined)[]): Promise<void> {
  const deadline = performance.now() + NOTICED_MS
  for (const name of names) {
    while (!(await isConnected(kube, name ?? ''))) {
      if (performance.now() > deadline) throw new Error(`host ${name} does not come back`)
    }
  }
}

async function isConnected(kube: Kube, name: string): Promise<boolean> {
  const { body } = await kube.send<Host>({ method: 'GET', path: objectPath(Host, { name }) })
  return body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}

interface Stage {
  readonly kube: Kube
  readonly population: Population
  readonly machines: number
}

/** Seconds until so many machines are Ready, all of them on hosts that are well. */
async function makeOnHealthy({ kube, population, machines }: Stage, prefix: string): Promise<number> {
  const startedAt = performance.now()
  await inParallel(machines, LANES, async (index) => {
    await createMachine(kube, `${prefix}${index}`, nameOf(4 + (index % (HOSTS - 3))))
  })
  await population.untilReady(prefix, machines)
  return (performance.now() - startedAt) / 1000
}

async function removeAll({ kube, population }: Stage): Promise<void> {
  await deleteMachines(kube, population)
  await population.untilDestroyed()
}

/** Machines for a host that has much to do meanwhile. */
async function giveMore({ kube }: Stage, host: string, prefix: string): Promise<void> {
  await inParallel(ON_SLOW, LANES, async (index) => void (await createMachine(kube, `${prefix}${index}`, host)))
}

/** From now on one host is slow, one is dead, and one floods us. */
function begin({ slow, dead, flooding }: Neighbours): void {
  flooding.judge = ({ isStream }) => (isStream ? { type: 'pass', lines: flood } : { type: 'pass' })
  flooding.cutAll()
  slow.judge = ({ isStream }) => ({ type: 'pass', ...(!isStream && { delayMs: SLOW_MS }) })
  dead.wire.freeze()
}

function end({ slow, dead, flooding }: Neighbours): void {
  flooding.reset()
  flooding.cutAll()
  slow.reset()
  dead.wire.thaw()
}

interface Outcome {
  readonly well: readonly number[]
  readonly troubled: readonly number[]
  readonly machines: number
  readonly say: (line: string) => void
}

function report({ well, troubled, machines, say }: Outcome) {
  const ratio = median(troubled.map((speed, index) => speed / (well[index] ?? Number.NaN)))
  const row = (name: string, speeds: readonly number[]) => [
    name,
    round(median(speeds), 1),
    round(Math.max(...speeds), 1),
  ]
  for (const line of table([
    [`${machines} machines on ${HOSTS - 3} hosts`, 'median a second', 'best'],
    row('all hosts are well', well),
    row('three others are slow, dead, flooding', troubled),
  ]))
    say(line)
  return { ratio: round(ratio, 3), vmsPerSecond: round(median(troubled), 1), machines, rounds: well.length }
}

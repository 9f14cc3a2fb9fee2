import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Host } from '../../crds/host.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { objectPath } from '../../lib/kube/paths.ts'
import { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import { readAgentTls, type AgentTls } from '../scale/hosts.ts'
import { flood } from './flood.ts'
import type { Case, Trouble } from './report.ts'

const SLOW_MS = 2_000
const BEGUN_MS = 30_000

/** Which host is in trouble, if one is. */
export const TROUBLED: Readonly<Record<Trouble, string>> = {
  slow: 'simulated-1',
  dead: 'simulated-2',
  flooding: 'simulated-3',
}

/** What stands before these hosts, and lets all pass until a trouble begins. */
export type Neighbours = Readonly<Record<Trouble, FaultProxy>> & AsyncDisposable

/** Puts proxies between the controllers and these hosts, whose certificate has that name. */
export async function standBefore(kube: Kube, home: string, certificate: string): Promise<Neighbours> {
  const read = (suffix: string) => readFile(join(home, 'pki', 'agents', `${certificate}.${suffix}`), 'utf8')
  const tls = { ...(await readAgentTls(home)), server: { certificate: await read('crt'), key: await read('key') } }
  await using stack = new AsyncDisposableStack()
  const before = async (trouble: Trouble) => stack.use(await proxyBefore(kube, TROUBLED[trouble], tls))
  const [slow, dead, flooding] = [await before('slow'), await before('dead'), await before('flooding')]
  const all = stack.move()
  return { slow, dead, flooding, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

async function proxyBefore(
  kube: Kube,
  name: string,
  { ca, certificate, key, server }: AgentTls & Pick<Parameters<typeof FaultProxy.start>[0], 'server'>,
): Promise<FaultProxy> {
  const path = objectPath(Host, { name })
  const { body } = await kube.send<{ spec: { port: number } }>({ method: 'GET', path })
  const client = { certificate, key }
  const proxy = await FaultProxy.start({ port: body.spec.port, serverName: name, ca, server, client })
  const contentType = 'application/merge-patch+json'
  await kube.send({ method: 'PATCH', path, contentType, body: { spec: { port: proxy.port } } })
  return proxy
}

/** Whether a host has this trouble in this case. */
export function has(name: Case, trouble: Trouble): boolean {
  return name === trouble || name === 'together'
}

/** From now on the host of this trouble has it, or each its own. Resolves when what floods has been listened to. */
export async function begin({ slow, dead, flooding }: Neighbours, name: Case): Promise<void> {
  if (has(name, 'flooding')) await beginFlood(flooding)
  if (has(name, 'slow')) slow.judge = ({ isStream }) => ({ type: 'pass', ...(!isStream && { delayMs: SLOW_MS }) })
  if (has(name, 'dead')) dead.wire.freeze()
}

async function beginFlood(proxy: FaultProxy): Promise<void> {
  const { promise: begun, resolve } = Promise.withResolvers<void>()
  proxy.judge = ({ isStream }) => {
    if (!isStream) return { type: 'pass' }
    resolve()
    return { type: 'pass', lines: flood }
  }
  proxy.cutAll()
  const late = async () => {
    await sleep(BEGUN_MS, undefined, { ref: false })
    throw new Error('nobody listens to the host that is to flood')
  }
  await Promise.race([begun, late()])
}

/** All are well again. */
export function end({ slow, dead, flooding }: Neighbours): void {
  flooding.reset()
  flooding.cutAll()
  slow.reset()
  dead.wire.thaw()
}

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAgent } from '../../agent/client.ts'
import type { HostAgent } from '../../agent/contract.ts'
import { Host } from '../../crds/host.ts'
import { leaderLease } from '../../crds/leader-lease.ts'
import type { Resource } from '../../crds/kind.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { leaseStore } from '../../lib/kube/lease-store.ts'
import { collectionPath } from '../../lib/kube/paths.ts'

/** PEM texts. */
export interface AgentTls {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** What the controllers of a local platform prove themselves with. */
export async function readAgentTls(home: string): Promise<AgentTls> {
  const read = (name: string) => readFile(join(home, 'pki', 'agents', name), 'utf8')
  return {
    ca: await read('ca.crt'),
    certificate: await read('holdfast-controllers.crt'),
    key: await read('holdfast-controllers.key'),
  }
}

/** The agents of all hosts, by name, as the last leader of the controllers would call them. */
export async function connectAgents(
  kube: Kube,
  tls: AgentTls,
): Promise<ReadonlyMap<string, HostAgent & AsyncDisposable>> {
  const lease = await leaseStore(kube, leaderLease, 5_000).read()
  const { body } = await kube.send<{ items: Resource<typeof Host>[] }>({ method: 'GET', path: collectionPath(Host) })
  const term = () => lease?.term ?? 1
  return new Map(
    body.items.map(({ metadata, spec }) => [
      metadata.name,
      connectAgent({ address: spec.address, port: spec.port, hostName: metadata.name, tls, term }),
    ]),
  )
}

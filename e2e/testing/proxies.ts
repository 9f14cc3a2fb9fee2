import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadOrCreateAuthority, loadOrIssue } from '../../lib/tls/authority.ts'
import { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import type { Platform } from './platform.ts'

/** Who talks to the API server. */
type Account = 'holdfast-controllers' | 'holdfast-webhooks'

/** Between the processes of that account, as which it talks, and the API server of a platform. */
export async function proxyToApi({ home }: Platform, account: Account): Promise<FaultProxy> {
  const pki = (name: string) => readFile(join(home, 'pki', 'kubernetes', name), 'utf8')
  return FaultProxy.start({
    port: Number(await readFile(join(home, 'port'), 'utf8')),
    serverName: 'localhost',
    ca: await pki('ca.crt'),
    server: { certificate: await pki('kube-apiserver.crt'), key: await pki('kube-apiserver.key') },
    client: { certificate: await pki(`${account}.crt`), key: await pki(`${account}.key`) },
  })
}

/** Between the controllers and the agent of this host that listens at this port. */
export async function proxyToAgent({ home }: Platform, host: string, port: number): Promise<FaultProxy> {
  const folder = await mkdtemp(join(home, 'proxy-'))
  const pki = join(home, 'pki', 'agents')
  const authority = await loadOrCreateAuthority(pki, 'holdfast-agents')
  const request = { folder, name: 'tls', commonName: host, dnsNames: [host], usages: ['Server'] } as const
  const server = await loadOrIssue(authority, request)
  await rm(folder, { recursive: true })
  const read = (name: string) => readFile(join(pki, name), 'utf8')
  const client = { certificate: await read('holdfast-controllers.crt'), key: await read('holdfast-controllers.key') }
  return FaultProxy.start({ port, serverName: host, ca: authority.certificate, server, client })
}

/** File of a kubeconfig that leads the processes of that account to that port. */
export async function proxiedKubeconfig({ home }: Platform, account: Account, port: number): Promise<string> {
  const text = await readFile(join(home, 'pki', 'kubernetes', `${account}.kubeconfig`), 'utf8')
  const path = join(home, 'pki', 'kubernetes', `proxied-${port}.kubeconfig`)
  await writeFile(path, text.replace(/https:\/\/127\.0\.0\.1:\d+/, `https://127.0.0.1:${port}`), { mode: 0o600 })
  return path
}

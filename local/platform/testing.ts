import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Identity } from '../../lib/tls/authority.ts'

export interface FakeApiServer extends AsyncDisposable {
  /** Method and path of each request. */
  readonly asked: readonly string[]
  /** A kubeconfig that names this server. */
  kubeconfig(cluster: object, user: object): Promise<string>
}

/** Answers as an API server of version 1.36 does that has these objects, by their paths, and no others. A Status is an answer of its code. */
export async function newApiServer(
  { certificate: cert, key }: Identity,
  objects: Readonly<Record<string, object>> = {},
): Promise<FakeApiServer> {
  const folder = await mkdtemp(join(tmpdir(), 'hf-api-server-'))
  const asked: string[] = []
  const answers: Record<string, object> = { '/version': { major: '1', minor: '36', gitVersion: 'v1.36.0' }, ...objects }
  const server = createServer({ cert, key }, ({ method, url = '' }, response) => {
    asked.push(`${method} ${url}`)
    const answer = answers[url]
    const code = answer !== undefined && 'code' in answer ? Number(answer.code) : 200
    response.writeHead(answer === undefined ? 404 : code, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    asked,
    async kubeconfig(cluster, user) {
      const path = join(folder, 'kubeconfig')
      const config = {
        'current-context': 'main',
        clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, ...cluster } }],
        contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
        users: [{ name: 'u', user }],
      }
      await writeFile(path, JSON.stringify(config))
      return path
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Cluster of a kubeconfig that trusts this authority (PEM). */
export function trusting(certificate: string): object {
  return { 'certificate-authority-data': Buffer.from(certificate).toString('base64') }
}

import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kube, type KubeOptions } from './client.ts'

/** What a server does with a request. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => unknown

export interface Served extends AsyncDisposable {
  readonly kube: Kube
  /** In the order in which they came. */
  readonly requests: readonly IncomingMessage[]
  /** Writes another token into the client's kubeconfig; it is `first` in the beginning. */
  readonly changeToken: (token: string) => Promise<void>
}

/** A server whose n-th request gets the n-th answer, and all after that the last one; and a client of it. */
export async function serveAnswers(answers: readonly Answer[], options: KubeOptions = {}): Promise<Served> {
  await using stack = new AsyncDisposableStack()
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    answers[Math.min(requests.length, answers.length) - 1]?.(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const folder = await mkdtemp(join(tmpdir(), 'client-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the server does not listen')
  const cluster = { server: `http://127.0.0.1:${address.port}` }
  const write = (token: string) => writeKubeconfig(folder, cluster, { token })
  const kube = stack.use(await Kube.connect(await write('first'), options))
  const opened = stack.move()
  return {
    kube,
    requests,
    changeToken: async (token) => void (await write(token)),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** A kubeconfig of one cluster and one user, in its own terms; the path of it. */
export async function writeKubeconfig(folder: string, cluster: object, user: object): Promise<string> {
  const path = join(folder, 'config')
  const config = {
    'current-context': 'main',
    clusters: [{ name: 'c', cluster }],
    contexts: [{ name: 'main', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user }],
  }
  await writeFile(path, JSON.stringify(config))
  return path
}

/** Answers with JSON. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return text(status, JSON.stringify(body), { 'content-type': 'application/json', ...headers })
}

export function text(status: number, body: string, headers: Record<string, string> = {}): Answer {
  return (_, response) => void response.writeHead(status, headers).end(body)
}

/** An answer that begins and does not end. */
export function open(...lines: string[]): Answer {
  return (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    for (const line of lines) response.write(line)
  }
}

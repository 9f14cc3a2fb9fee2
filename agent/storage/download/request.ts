import { Client, type Dispatcher } from 'undici'
import { parseNetwork } from './addresses.ts'
import { parseBundle } from './ca-bundle.ts'
import { chunksOf } from './chunks.ts'
import { newConnector } from './connector.ts'
import { DownloadError, explain, unusable } from './failure.ts'
import { watchFraming, type Framing } from './framing.ts'
import type { Resolve } from './resolve.ts'

/** What an HTTP request may take, in milliseconds. */
export interface RequestLimits {
  readonly connectMs: number
  /** Up to the end of the headers. */
  readonly answerMs: number
}

export interface RequestOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly caBundle?: string | undefined
  readonly allowedNetworks: readonly string[]
  readonly resolve: Resolve
  readonly limits: RequestLimits
  readonly signal: AbortSignal
}

/** The answer of the last server, after all redirects. Disposing of it closes the connection. */
export interface Answer extends AsyncDisposable {
  /** Name of the server, for messages. */
  readonly server: string
  readonly status: number
  /** Value of a header; undefined when it is missing or given several times. */
  header(name: string): string | undefined
  /** The body, as it comes. */
  readonly chunks: AsyncIterable<Buffer>
  /** Ends the body with an error. */
  fail(error: Error): void
}

const MAX_REDIRECTS = 5
const MAX_HEADER_BYTES = 16 * 1024
const redirects = new Set([301, 302, 303, 307, 308])

/** Asks for a file, and follows redirects: every hop is judged like the first. Throws `DownloadError`. */
export async function get(options: RequestOptions): Promise<Answer> {
  let url = parseUrl(options.url)
  for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
    const answer = await ask(url, options)
    if (!redirects.has(answer.status)) return answer
    const location = answer.header('location')
    await answer[Symbol.asyncDispose]()
    url = follow(url, location)
  }
  throw refusedRedirect(`The server ${url.hostname} redirects more than ${MAX_REDIRECTS} times`)
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (url && isHttp(url) && !hasCredentials(url)) return url
  throw new DownloadError('ServerRefused', 'The URL is no http or https address, or has a password in it: correct it')
}

function follow(from: URL, location: string | undefined): URL {
  const url = location === undefined ? null : URL.parse(location, from.href)
  const what = `The server ${from.hostname} redirects`
  if (!url) throw refusedRedirect(`${what} without saying where`)
  if (!isHttp(url)) throw refusedRedirect(`${what} to ${url.protocol}, which is not fetched`)
  if (hasCredentials(url)) throw refusedRedirect(`${what} to an address with a password in it`)
  if (from.protocol === 'https:' && url.protocol === 'http:') throw refusedRedirect(`${what} from https to http`)
  return url
}

function isHttp({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:'
}

function hasCredentials({ username, password }: URL): boolean {
  return username !== '' || password !== ''
}

function refusedRedirect(what: string): DownloadError {
  return new DownloadError('RedirectRefused', `${what}: use the URL of the file itself`)
}

async function ask(url: URL, options: RequestOptions): Promise<Answer> {
  await using opened = new AsyncDisposableStack()
  const excess = new AbortController()
  const framing = opened.use(watchFraming(() => excess.abort(unusable(url.hostname, 'sends far more than the file'))))
  const client = newClient(url, options, framing)
  // Not closed but destroyed: what is still on its way is of no use.
  opened.defer(() => client.destroy())
  const signal = AbortSignal.any([options.signal, excess.signal])
  const { statusCode, headers, body } = await send(client, url, { ...options, signal })
  const chunks = chunksOf(body)
  body.on('data', (chunk: Buffer) => framing.note(chunk.length))
  opened.defer(() => void body.on('error', () => undefined).destroy())
  const undo = opened.move()
  return {
    server: url.hostname,
    status: statusCode,
    header: (name) => {
      const value = headers[name]
      return typeof value === 'string' ? value : undefined
    },
    chunks,
    fail: (error) => void body.destroy(error),
    [Symbol.asyncDispose]: () => undo.disposeAsync(),
  }
}

function newClient(
  url: URL,
  { allowedNetworks, caBundle, resolve, limits }: RequestOptions,
  { watch }: Framing,
): Client {
  const networks = allowedNetworks.flatMap((text) => parseNetwork(text) ?? [])
  const ca = caBundle === undefined ? undefined : parseBundle(caBundle)
  const connect = newConnector({
    allowedNetworks: networks,
    resolve,
    ca,
    timeoutMs: limits.connectMs,
    onConnected: watch,
  })
  // A client of undici's own knows no proxies. How long the body takes is watched by whoever reads it.
  const timeouts = { headersTimeout: limits.answerMs, bodyTimeout: 0 }
  return new Client(url.origin, { connect, maxHeaderSize: MAX_HEADER_BYTES, ...timeouts })
}

/** Headers that trickle never end a time limit of silence, so the whole answer has one. */
async function send(client: Client, url: URL, options: RequestOptions): Promise<Dispatcher.ResponseData> {
  const { headers, limits, signal } = options
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(noAnswer(url)), limits.connectMs + limits.answerMs)
  try {
    return await client.request({
      method: 'GET',
      path: `${url.pathname}${url.search}`,
      headers: { 'user-agent': 'holdfast', accept: '*/*', 'accept-encoding': 'identity', ...headers },
      signal: AbortSignal.any([signal, late.signal]),
    })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    if (late.signal.aborted) throw late.signal.reason
    throw isTimeout(error) ? noAnswer(url) : explainTls(error, url)
  } finally {
    clearTimeout(timer)
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'UND_ERR_HEADERS_TIMEOUT'
}

function noAnswer({ hostname }: URL): DownloadError {
  const message = `The server ${hostname} takes too long to answer: see that it works`
  return new DownloadError('DownloadFailed', message, { isPassing: true })
}

function explainTls(error: unknown, { hostname, protocol }: URL): DownloadError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const isPlain = protocol === 'https:' && /WRONG_VERSION_NUMBER|PACKET_LENGTH/.test(code)
  return isPlain ? unusable(hostname, 'is no HTTPS', { cause: error }) : explain(error, hostname)
}

import type { ImageProblem } from '../../contract.ts'

export interface DownloadErrorOptions extends ErrorOptions {
  /** Another try may go better, from where this one ended. */
  readonly isPassing?: boolean
  /** What the server asked for. */
  readonly retryAfterMs?: number | undefined
}

/** Why a download ended. The message is one sentence for a user, which says what to do. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError'
  readonly code: ImageProblem
  readonly isPassing: boolean
  readonly retryAfterMs: number | undefined

  constructor(code: ImageProblem, message: string, options: DownloadErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.isPassing = options.isPassing ?? false
    this.retryAfterMs = options.retryAfterMs
  }
}

const untrusted = new Map([
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name'],
  ['CERT_REVOKED', 'its certificate was revoked'],
  ...[
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'INVALID_CA',
  ].map((code) => [code, 'its certificate comes from an authority that is not trusted'] as const),
])

const unreachable = new Map([
  ['ENOTFOUND', 'there is no server of that name'],
  ['EAI_AGAIN', 'its name cannot be looked up now'],
  ['ECONNREFUSED', 'it refuses the connection'],
  ['UND_ERR_CONNECT_TIMEOUT', 'it does not answer'],
  ['ETIMEDOUT', 'it does not answer'],
  ['EHOSTUNREACH', 'there is no way to it'],
  ['ENETUNREACH', 'there is no way to it'],
])

/** Says in the contract's terms what a connection to a server of this name failed with. */
export function explain(error: unknown, server: string): DownloadError {
  if (error instanceof DownloadError) return error
  const code = codeOf(error)
  const options = { cause: error }
  const mistrust = untrusted.get(code)
  if (mistrust !== undefined) {
    const help = 'see that the URL is right, or give its authority in spec.source.http.caBundle'
    return new DownloadError(
      'CertificateNotTrusted',
      `The server ${server} is not trusted, for ${mistrust}: ${help}`,
      options,
    )
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return unusable(server, 'has headers that are too large', options)
  if (isNoHttp(error)) return unusable(server, 'is no HTTP', options)
  if (code === 'ENOSPC' || code === 'EDQUOT') return noSpace(options)
  const why = unreachable.get(code) ?? (isTls(code) ? 'no secure connection is made' : 'the connection was cut')
  const message = `The server ${server} cannot be read from, for ${why}: see that it can be reached from this host`
  return new DownloadError('DownloadFailed', message, { ...options, isPassing: true })
}

export function unusable(server: string, what: string, options: ErrorOptions = {}): DownloadError {
  const message = `The answer of the server ${server} ${what}: use a server that sends the plain file`
  return new DownloadError('AnswerUnusable', message, options)
}

export function noSpace(options: ErrorOptions = {}): DownloadError {
  const message = 'The host has no space for the download: free some, or have the agent keep its images elsewhere'
  return new DownloadError('NoSpace', message, options)
}

// The parser's errors have no code. An end that comes too early is one of them, and is a cut.
function isNoHttp(error: unknown): boolean {
  return error instanceof Error && error.name === 'HTTPParserError' && !/EOF/.test(error.message)
}

// Names of OpenSSL and of Node for what goes wrong in a handshake.
function isTls(code: string): boolean {
  return /^(ERR_SSL|ERR_TLS|EPROTO)/.test(code)
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

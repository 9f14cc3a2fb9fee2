import { DownloadError, unusable } from './failure.ts'

/** What is there of a file already, and what its server said it was. */
export interface Part {
  readonly bytes: number
  /** A strong entity tag (RFC 9110, section 8.8.3). Two files with the same are the same. */
  readonly etag?: string | undefined
  readonly totalBytes?: number | undefined
}

/** What an answer is judged by. */
export interface Head {
  readonly server: string
  readonly status: number
  header(name: string): string | undefined
}

export type Verdict =
  /** The body goes on where the part ends. */
  | { readonly type: 'Append'; readonly part: Part }
  /** The body is the file from its beginning. */
  | { readonly type: 'Anew'; readonly part: Part }
  /** The part is the whole file. */
  | { readonly type: 'Complete' }
  /** The part is of another file, or of nobody knows which: drop it and ask for the whole. */
  | { readonly type: 'Drop' }

const MAX_RETRY_AFTER_MS = 600_000
const passing = new Set([408, 425, 429])

/** Headers that ask for the rest of a file. A server that knows of no ranges sends all of it. */
export function rangeOf({ bytes, etag }: Part): Record<string, string> {
  if (bytes === 0) return {}
  return { range: `bytes=${bytes}-`, ...(etag !== undefined && { 'if-range': etag }) }
}

/** Decides what to do with an answer. Throws `DownloadError`. Whatever it decides, the digest has the last word. */
export function judgeAnswer(part: Part, head: Head, now: Date): Verdict {
  const encoding = head.header('content-encoding')?.trim().toLowerCase() ?? 'identity'
  if (isSuccess(head.status) && encoding !== 'identity' && encoding !== '') {
    throw unusable(head.server, `is packed (Content-Encoding ${encoding.slice(0, 20)})`)
  }
  if (head.status === 200) {
    return { type: 'Anew', part: { bytes: 0, etag: strongTag(head.header('etag')), totalBytes: lengthOf(head) } }
  }
  if (head.status === 206) return judgeRange(part, head)
  if (head.status === 416 && part.bytes > 0) return judgeUnsatisfied(part, head)
  throw toError(head, now)
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

function lengthOf(head: Head): number | undefined {
  const text = head.header('content-length') ?? ''
  return /^\d{1,16}$/.test(text) ? Number(text) : undefined
}

function strongTag(text: string | undefined): string | undefined {
  return text !== undefined && /^"[\x21\x23-\x7e]{1,200}"$/.test(text) ? text : undefined
}

function judgeRange(part: Part, head: Head): Verdict {
  if (part.bytes === 0) throw unusable(head.server, 'is a part of the file that was not asked for')
  const [, first, total] = /^bytes (\d{1,16})-\d{1,16}\/(\d{1,16}|\*)$/.exec(head.header('content-range') ?? '') ?? []
  if (Number(first) !== part.bytes) return { type: 'Drop' }
  const etag = strongTag(head.header('etag')) ?? part.etag
  const totalBytes = total === undefined || total === '*' ? part.totalBytes : Number(total)
  if (differs(part.etag, etag) || differs(part.totalBytes, totalBytes)) return { type: 'Drop' }
  return { type: 'Append', part: { bytes: part.bytes, etag, totalBytes } }
}

/** There is nothing behind the part: it is the whole file, or more than that. */
function judgeUnsatisfied(part: Part, head: Head): Verdict {
  const total = /^bytes \*\/(\d{1,16})$/.exec(head.header('content-range') ?? '')?.[1]
  return Number(total) === part.bytes ? { type: 'Complete' } : { type: 'Drop' }
}

function differs(before: unknown, after: unknown): boolean {
  return before !== undefined && after !== undefined && before !== after
}

const wantsLogin = new Set([401, 403, 407])

function toError(head: Head, now: Date): DownloadError {
  const { server, status } = head
  if (status === 404 || status === 410) {
    const message = `The server ${server} has no such file (HTTP ${status}): create the Image with the right URL`
    return new DownloadError('FileNotFound', message)
  }
  if (passing.has(status) || status >= 500) {
    const message = `The server ${server} cannot send the file now (HTTP ${status}): see that it works`
    const retryAfterMs = retryAfter(head.header('retry-after'), now)
    return new DownloadError('DownloadFailed', message, { isPassing: true, retryAfterMs })
  }
  if (status >= 400) {
    const next = wantsLogin.has(status) ? 'let it be read without signing in' : 'see what it has against the request'
    const message = `The server ${server} does not give the file (HTTP ${status}): ${next}`
    return new DownloadError('ServerRefused', message)
  }
  return unusable(server, `is no file (HTTP ${status})`)
}

/** In seconds, or a date (RFC 9110, section 10.2.3). */
function retryAfter(text: string | undefined, now: Date): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now.getTime()
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS)
}

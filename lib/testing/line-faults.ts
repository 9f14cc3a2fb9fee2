import { setTimeout as sleep } from 'node:timers/promises'

/** Makes of the lines of a watch what a client is to get, until the fault is over. It may throw to break the connection. */
export type LineFault = (from: AsyncIterable<string>, over: AbortSignal) => AsyncGenerator<string>

const PIECES = 4
const TRICKLE_MS = 25
/** So long an event is held back for the next one to overtake it. */
const OVERTAKE_MS = 100
/** Some lines go through before a stream is ended, so that it is not only begun again. */
const LINES_BEFORE_THE_END = 3

/** A few bytes at a time. */
export async function* trickle(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  for await (const line of from) {
    const size = over.aborted ? line.length : Math.ceil(line.length / PIECES)
    for (let start = 0; start < line.length; start += size) {
      if (start > 0 && !over.aborted) await sleep(TRICKLE_MS)
      yield line.slice(start, start + size)
    }
  }
}

/** The version that the client has is too old. */
export const expire: LineFault = (from, over) => endWith(from, over, [error(410, 'Expired')])

/** The server does not feel well. */
export const fail: LineFault = (from, over) => endWith(from, over, [error(500, 'InternalError')])

/** Good-bye without a word. */
export const end: LineFault = (from, over) => endWith(from, over, [])

/** Each one, bookmarks too. */
export async function* duplicate(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  for await (const line of from) {
    yield line
    if (!over.aborted) yield line
  }
}

/** Neighbours change places, if the second one comes soon. Within a list, where order means its end, they stay. */
export async function* reorder(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  const source = from[Symbol.asyncIterator]()
  let isListed = false
  for (let next = source.next(); ;) {
    const first = await next
    if (first.done === true) return
    next = source.next()
    next.catch(() => undefined) // Awaited below, or in the next turn.
    const isEvent = isListed && !first.value.startsWith('{"type":"BOOKMARK"')
    isListed ||= first.value.startsWith('{"type":"BOOKMARK"')
    if (isEvent && !over.aborted) {
      const second = await Promise.race([next, sleep(OVERTAKE_MS, undefined)])
      if (second !== undefined && second.done !== true) {
        yield second.value
        next = source.next()
      }
    }
    yield first.value
  }
}

/** Two of three changes never come. */
export async function* drop(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  let count = 0
  for await (const line of from) {
    if (over.aborted || line.startsWith('{"type":"BOOKMARK"') || count++ % 3 === 0) yield line
  }
}

/** What is no JSON would end the stream; this is JSON, and no event. */
export async function* garble(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  const garbage = [
    '{"type":"ADDED","object":{}}\n',
    '"?"\n',
    '{"type":"RENAMED"}\n',
    '{"type":"ADDED","object":{"metada\n',
  ]
  let count = 0
  for await (const line of from) {
    if (!over.aborted) yield garbage[count++ % garbage.length] ?? ''
    yield line
  }
}

/** Half a line is the last that is heard. */
export async function* truncate(from: AsyncIterable<string>, over: AbortSignal): AsyncGenerator<string> {
  let count = 0
  for await (const line of from) {
    if (over.aborted || count++ < LINES_BEFORE_THE_END) {
      yield line
      continue
    }
    yield line.slice(0, line.length / 2)
    await sleep(TRICKLE_MS) // It is to arrive.
    throw new Error('the connection breaks here')
  }
}

async function* endWith(
  from: AsyncIterable<string>,
  over: AbortSignal,
  last: readonly string[],
): AsyncGenerator<string> {
  let count = 0
  for await (const line of from) {
    yield line
    if (!over.aborted && ++count >= LINES_BEFORE_THE_END) break
  }
  if (!over.aborted) yield* last
}

function error(code: number, reason: string): string {
  const object = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code, message: 'a fault is played' }
  return `${JSON.stringify({ type: 'ERROR', object })}\n`
}

import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { DesiredImage } from '../../contract.ts'
import { DownloadError, explain, noSpace } from './failure.ts'
import { judgeAnswer, rangeOf } from './judge-answer.ts'
import { PartFile } from './part-file.ts'
import type { Places } from './places.ts'
import type { Answer, RequestLimits } from './request.ts'
import type { Resolve } from './resolve.ts'
import { tooLarge } from '../import-file.ts'
import type { Turn, TurnLimits } from './turns.ts'
import { newWatchdog } from './watchdog.ts'

export interface DownloadLimits extends RequestLimits, TurnLimits {
  /** Within this time at least so much has to come. */
  readonly stallMs: number
  readonly stallBytes: number
  /** Failures in a row, without as much as `stallBytes` between them, after which it is given up for now. */
  readonly maxFailures: number
  readonly firstRetryMs: number
  readonly lastRetryMs: number
  /** What nobody asks for so long ends, and may be removed. Whoever wants an image asks every few seconds. */
  readonly unaskedMs: number
}

export const usualLimits: DownloadLimits = {
  connectMs: 10_000,
  answerMs: 60_000,
  stallMs: 60_000,
  stallBytes: 64 * 1024,
  maxFailures: 6,
  firstRetryMs: 1000,
  lastRetryMs: 60_000,
  atOnce: 4,
  inAll: 16,
  fairMs: 60_000,
  unaskedMs: 600_000,
}

export interface DownloadDeps {
  readonly resolve: Resolve
  /** Bytes that may be written now. */
  readonly room: () => Promise<number>
  readonly limits: DownloadLimits
  readonly clock: Clock
  readonly log: Log
}

export interface Task {
  readonly order: DesiredImage
  readonly places: Places
  readonly signal: AbortSignal
  /** Has a server asked when it is this download's turn, and anew when the turn was taken away meanwhile. */
  readonly inTurn: (work: (turn: Turn) => Promise<void>) => Promise<void>
  /** Called with every piece that was written. */
  readonly onProgress: (receivedBytes: number, totalBytes: number | undefined) => void
  /** Called when a try has failed, and another one is to come. */
  readonly onTrouble: (failure: DownloadError) => void
}

/** Bytes between two looks at the room that is left. What was written before is then safe against a crash of the host. */
const STEP_BYTES = 32 * 2 ** 20

/**
 * Downloads a file, over as many connections as it takes, and moves it to its place when its digest is right. Between two
 * connections it has no turn: whoever waits to try again keeps nobody out. Throws `DownloadError`; what is there is kept
 * for the next try where that can go on from it, and removed otherwise.
 */
export async function download(transfer: Task, deps: DownloadDeps): Promise<void> {
  await using file = await PartFile.open(transfer.places)
  try {
    await transferWhole(file, transfer, deps)
    await file.finish()
  } catch (error) {
    const failure = transfer.signal.aborted ? abortReason(transfer.signal) : toFailure(error, transfer)
    if (!failure.isPassing) await file.remove()
    throw failure
  }
}

function abortReason({ reason }: AbortSignal): DownloadError {
  return reason instanceof DownloadError ? reason : explain(reason, 'of the image')
}

function toFailure(error: unknown, { order }: Task): DownloadError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT') return noSpace({ cause: error })
  return explain(error, URL.parse(order.url)?.hostname ?? 'of the image')
}

async function transferWhole(file: PartFile, transfer: Task, deps: DownloadDeps): Promise<void> {
  const { order, signal } = transfer
  for (let isSecond = false; ; isSecond = true) {
    await transferAll(file, transfer, deps)
    const digest = file.digest()
    if (digest === order.sha256) return
    signal.throwIfAborted()
    // What was put together from several answers may be of two files. Of one answer nothing else can be hoped for, nor
    // of a server that cuts each of them.
    if (!file.isPatched || isSecond) throw mismatch(digest, order)
    deps.log.info({ sha256: order.sha256 }, 'a download that was resumed is not the right file; it starts anew')
    await file.startAnew()
  }
}

function mismatch(digest: string, { sha256, url }: DesiredImage): DownloadError {
  const server = URL.parse(url)?.hostname
  const message = `The SHA-256 of what the server ${server} sends is ${digest} and not ${sha256}: create the Image with the right checksum or URL`
  return new DownloadError('ChecksumMismatch', message)
}

/** Until the server says that it was all. */
async function transferAll(file: PartFile, transfer: Task, deps: DownloadDeps): Promise<void> {
  const { limits, clock, log } = deps
  let failures = 0
  let mark = file.part.bytes
  for (;;) {
    try {
      await transfer.inTurn((turn) => transferSome(file, { ...transfer, ...turn }, deps))
      return
    } catch (error) {
      const failure = transfer.signal.aborted ? abortReason(transfer.signal) : toFailure(error, transfer)
      if (file.part.bytes - mark >= limits.stallBytes) {
        failures = 0
        mark = file.part.bytes
      }
      failures += 1
      if (!failure.isPassing || failures >= limits.maxFailures || transfer.signal.aborted) throw failure
      const waitMs = failure.retryAfterMs ?? Math.min(limits.firstRetryMs * 2 ** (failures - 1), limits.lastRetryMs)
      transfer.onTrouble(failure)
      log.info({ sha256: transfer.order.sha256, failures, waitMs, err: failure }, 'a download was cut; it goes on')
      await clock.sleep(waitMs, transfer.signal)
    }
  }
}

async function transferSome(file: PartFile, transfer: Task & Turn, deps: DownloadDeps): Promise<void> {
  const { order, signal } = transfer
  const { caBundle, allowedNetworks, url } = order
  const { resolve, limits, clock } = deps
  // Only now: the HTTP client takes as long to load as all else that an agent needs, and most never fetch anything.
  const { get } = await import('./request.ts')
  await using answer = await get({
    url,
    headers: rangeOf(file.part),
    caBundle,
    allowedNetworks,
    resolve,
    limits,
    signal,
  })
  const verdict = judgeAnswer(file.part, answer, clock.now())
  switch (verdict.type) {
    case 'Complete':
      return
    case 'Drop':
      await file.startAnew()
      throw changed(answer)
    case 'Append':
      await file.goOn(verdict.part)
      break
    case 'Anew':
      await file.startAnew(verdict.part)
      break
  }
  await receive(answer, file, transfer, deps)
}

function changed({ server }: Answer): DownloadError {
  const message = `The server ${server} sends another file than before: see that the file does not change there`
  return new DownloadError('DownloadFailed', message, { isPassing: true })
}

async function receive(answer: Answer, file: PartFile, transfer: Task & Turn, deps: DownloadDeps): Promise<void> {
  const { totalBytes } = file.part
  transfer.onProgress(file.part.bytes, totalBytes)
  await requireRoom(file, transfer.order, deps)
  using watchdog = newWatchdog(deps.limits, () => answer.fail(stalled(answer)))
  let next = file.part.bytes + STEP_BYTES
  for await (const chunk of answer.chunks) {
    requireSize(file.part.bytes + chunk.length, transfer.order)
    await file.write(chunk)
    watchdog.note(chunk.length)
    transfer.note(chunk.length)
    transfer.onProgress(file.part.bytes, totalBytes)
    if (file.part.bytes < next) continue
    next += STEP_BYTES
    await file.sync()
    await requireRoom(file, transfer.order, deps)
  }
  if (totalBytes !== undefined && file.part.bytes < totalBytes) throw cut(answer)
}

function requireSize(bytes: number, { maxBytes }: DesiredImage): void {
  if (bytes <= maxBytes) return
  throw new DownloadError('ImageTooLarge', tooLarge(maxBytes))
}

/** For all that is to come where that is known. */
async function requireRoom({ part }: PartFile, order: DesiredImage, { room }: DownloadDeps): Promise<void> {
  requireSize(part.totalBytes ?? part.bytes, order)
  const missing = Math.max(0, (part.totalBytes ?? part.bytes) - part.bytes)
  if ((await room()) < missing) throw noSpace()
}

function stalled({ server }: Answer): DownloadError {
  const message = `The server ${server} sends too slowly: see that it works, and the way to it`
  return new DownloadError('DownloadFailed', message, { isPassing: true })
}

function cut({ server }: Answer): DownloadError {
  const message = `The server ${server} ends before the file does: see that it works, and the way to it`
  return new DownloadError('DownloadFailed', message, { isPassing: true })
}

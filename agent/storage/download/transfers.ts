import { join } from 'node:path'
import type { DesiredImage } from '../../contract.ts'
import { measure } from '../folder-problem.ts'
import type { Refusal } from '../import-file.ts'
import { Job } from '../job.ts'
import { download, type DownloadDeps } from './download.ts'
import { DownloadError } from './failure.ts'
import type { Places } from './part-file.ts'
import { newRefusals } from './refusals.ts'
import { newSlots } from './slots.ts'

/** A download that is under way, or waits for its turn. */
export interface Transfer {
  readonly url: string
  /** Ends with what a user has to be told; with nothing when the file is there. */
  readonly job: Job<Refusal | undefined>
  readonly receivedBytes: number
  readonly totalBytes: number | undefined
}

/** Downloads by digest, one at a time of each. */
export interface Transfers {
  running(sha256: string): Transfer | undefined
  start(order: DesiredImage): Transfer
  /** Why an order like this one failed a moment ago; nothing once it is worth another try. */
  refusal(order: DesiredImage): Refusal | undefined
  /** Ends a download and forgets how it ended. */
  cancel(sha256: string): Promise<void>
}

export interface TransfersDeps extends Omit<DownloadDeps, 'room'> {
  readonly downloadDir: string
  /** A download has ended of which somebody was told that it takes longer. */
  readonly onEnd: (sha256: string) => void
}

interface Running extends Transfer {
  readonly abort: AbortController
  receivedBytes: number
  totalBytes: number | undefined
}

const AT_ONCE = 4
const TOTAL_MS = 24 * 3_600_000
/** What is left for the host itself, and for what may lie beside: 1 GiB, or a twentieth of a small file system. */
const RESERVE_BYTES = 2 ** 30
const RESERVE_SHARE = 0.05

export function newTransfers(deps: TransfersDeps): Transfers {
  const { downloadDir, clock, log, onEnd } = deps
  const running = new Map<string, Running>()
  const refusals = newRefusals(clock)
  const slots = newSlots(AT_ONCE)
  const room = () => roomIn(downloadDir)

  const run = async (order: DesiredImage, { signal }: AbortController): Promise<Refusal | undefined> => {
    const { sha256, url } = order
    const onProgress = (receivedBytes: number, totalBytes: number | undefined) => {
      Object.assign(running.get(sha256) ?? {}, { receivedBytes, totalBytes })
    }
    try {
      await slots.with(signal, async () => {
        log.info({ sha256, server: URL.parse(url)?.host }, 'a download begins')
        await download({ order, places: placesOf(downloadDir, sha256), signal, onProgress }, { ...deps, room })
      })
      log.info({ sha256 }, 'a download is complete')
      return undefined
    } catch (error) {
      log.warn({ err: error, sha256 }, 'a download has failed')
      return toRefusal(error)
    }
  }

  return {
    running: (sha256) => running.get(sha256),
    start: (order) => {
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(tooLong), TOTAL_MS)
      const job = new Job(run(order, abort), (result, isAwaitedLater) => {
        clearTimeout(timer)
        running.delete(order.sha256)
        if (result.status === 'fulfilled' && result.value) refusals.note(order, result.value)
        if (isAwaitedLater) onEnd(order.sha256)
      })
      const made: Running = { url: order.url, abort, job, receivedBytes: 0, totalBytes: undefined }
      running.set(order.sha256, made)
      return made
    },
    refusal: (order) => refusals.find(order),
    cancel: async (sha256) => {
      const known = running.get(sha256)
      known?.abort.abort(cancelled)
      await known?.job.result(undefined)
      refusals.forget(sha256)
    },
  }
}

const cancelled = new DownloadError('DownloadFailed', 'The download was cancelled: nothing asks for it any more')
const tooLong = new DownloadError(
  'DownloadFailed',
  'The download takes longer than a day: use a server that is nearer; it goes on from here',
  { isPassing: true },
)

export function placesOf(folder: string, sha256: string): Places {
  const whole = join(folder, sha256)
  return { whole, part: `${whole}.part`, facts: `${whole}.json`, origins: `${whole}.origins` }
}

async function roomIn(folder: string): Promise<number> {
  const { capacityBytes, availableBytes } = await measure(folder)
  return availableBytes - Math.min(RESERVE_BYTES, capacityBytes * RESERVE_SHARE)
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof DownloadError) return { code: error.code, message: error.message }
  return { code: 'DownloadFailed', message: 'The host cannot download the file: look into the log of its agent' }
}

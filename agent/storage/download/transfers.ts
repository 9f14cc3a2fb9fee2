import type { DesiredImage } from '../../contract.ts'
import { measure } from '../folder-problem.ts'
import type { Refusal } from '../import-file.ts'
import { Job } from '../job.ts'
import { newLocks } from '../lock.ts'
import { download, type DownloadDeps } from './download.ts'
import { DownloadError } from './failure.ts'
import { noteOrigin } from './origins.ts'
import { placesOf, removeOldParts, type Places } from './places.ts'
import { newRefusals } from './refusals.ts'
import { newTurns, type Asker } from './turns.ts'

/** A download that is under way, or waits for its turn. */
export interface Transfer {
  /** Ends with what a user has to be told; with nothing when the file is there. */
  readonly job: Job<Refusal | undefined>
  readonly receivedBytes: number
  readonly totalBytes: number | undefined
  readonly isWaiting: boolean
  /** How the last try ended, until the next one comes further. */
  readonly trouble: Refusal | undefined
}

/** Downloads, one at a time of each digest and URL. */
export interface Transfers {
  /** Whoever asks for it keeps it going. */
  running(order: DesiredImage): Transfer | undefined
  start(order: DesiredImage): Transfer
  /** Why an order like this one failed a moment ago; nothing once it is worth another try. */
  refusal(order: DesiredImage): Refusal | undefined
  /** Downloads that have their turn now. */
  readonly underWay: number
  /** Ends all downloads of a digest and forgets how they ended. */
  cancel(sha256: string): Promise<void>
}

export interface TransfersDeps extends Omit<DownloadDeps, 'room'> {
  readonly downloadDir: string
  /** A download has ended of which somebody was told that it takes longer. */
  readonly onEnd: (sha256: string) => void
}

interface State extends Asker {
  readonly order: DesiredImage
  readonly places: Places
  receivedBytes: number
  totalBytes: number | undefined
  trouble: Refusal | undefined
  /** Where the try began that may come further. */
  troubleBytes: number | undefined
}

interface Running extends State {
  readonly job: Job<Refusal | undefined>
  readonly abort: AbortController
  /** Ends it when nobody asks for it. */
  readonly unasked: NodeJS.Timeout
}

const TOTAL_MS = 24 * 3_600_000
/** What is left for the host itself, and for what may lie beside: 1 GiB, or a twentieth of a small file system. */
const RESERVE_BYTES = 2 ** 30
const RESERVE_SHARE = 0.05

export function newTransfers(deps: TransfersDeps): Transfers {
  const { downloadDir, clock, log, limits, onEnd } = deps
  const { unaskedMs } = limits
  const running = new Map<string, Running>()
  const refusals = newRefusals(clock)
  const runs = newRuns(deps)

  const sweep = async ({ sha256 }: DesiredImage) => {
    const used = new Set([...running.values()].map(({ places }) => places.part))
    try {
      await removeOldParts(downloadDir, sha256, { used, beforeMs: clock.now().getTime() - unaskedMs })
    } catch (error) {
      log.warn({ err: error, sha256 }, 'parts of downloads that nobody asks for cannot be removed')
    }
  }

  const run = async (state: State): Promise<Refusal | undefined> => {
    const refusal = await runs.run(state)
    await sweep(state.order)
    return refusal
  }

  return {
    get underWay() {
      return runs.underWay
    },
    running: (order) => {
      const found = running.get(keyOf(order))
      found?.unasked.refresh()
      return found
    },
    start: (order) => {
      const abort = new AbortController()
      const timer = setTimeout(() => abort.abort(tooLong), TOTAL_MS)
      const unasked = setTimeout(() => abort.abort(cancelled), unaskedMs)
      const state: State = { ...begin(order, downloadDir), trouble: refusals.last(order), signal: abort.signal }
      const job = new Job(run(state), (result, isAwaitedLater) => {
        clearTimeout(timer)
        clearTimeout(unasked)
        running.delete(keyOf(order))
        if (result.status === 'fulfilled' && result.value) refusals.note(order, result.value)
        if (isAwaitedLater) onEnd(order.sha256)
      })
      const made: Running = Object.assign(state, { job, abort, unasked })
      running.set(keyOf(order), made)
      return made
    },
    refusal: (order) => refusals.find(order),
    cancel: async (sha256) => {
      const found = [...running.values()].filter(({ order }) => order.sha256 === sha256)
      for (const { abort } of found) abort.abort(cancelled)
      await Promise.all(found.map(({ job }) => job.result(undefined)))
      refusals.forget(sha256)
    },
  }
}

function keyOf({ sha256, url }: DesiredImage): string {
  return `${sha256} ${url}`
}

function begin(order: DesiredImage, folder: string): Omit<State, 'signal' | 'trouble'> {
  const nothing = { receivedBytes: 0, totalBytes: undefined, troubleBytes: undefined }
  return { order, places: placesOf(folder, order), isWaiting: false, ...nothing }
}

function noteProgress(
  state: State,
  [receivedBytes, totalBytes]: readonly [number, number | undefined],
  stallBytes: number,
): void {
  state.receivedBytes = receivedBytes
  state.totalBytes = totalBytes
  state.troubleBytes ??= receivedBytes
  if (receivedBytes - state.troubleBytes >= stallBytes) state.trouble = undefined
}

/** Runs downloads to their ends, in turns. */
function newRuns(deps: TransfersDeps) {
  const { downloadDir, log, limits } = deps
  const turns = newTurns(limits)
  const locks = newLocks()
  const room = () => roomIn(downloadDir)

  const run = async (state: State): Promise<Refusal | undefined> => {
    const { order, places, signal } = state
    const { sha256, url } = order
    const inTurn = (work: Parameters<typeof turns.with<void>>[1]) => turns.with(state, work)
    const onProgress = (...progress: [number, number | undefined]) => noteProgress(state, progress, limits.stallBytes)
    const onTrouble = (failure: DownloadError) =>
      void Object.assign(state, { trouble: toRefusal(failure), troubleBytes: undefined })
    try {
      log.info({ sha256, server: URL.parse(url)?.host }, 'a download begins')
      await download({ order, places, signal, inTurn, onProgress, onTrouble }, { ...deps, room })
      await locks.with([sha256], () => noteOrigin(places, url))
      log.info({ sha256 }, 'a download is complete')
      return undefined
    } catch (error) {
      log.warn({ err: error, sha256 }, 'a download has failed')
      return toRefusal(error)
    }
  }
  return {
    run,
    get underWay() {
      return turns.taken
    },
  }
}

const cancelled = new DownloadError('DownloadFailed', 'The download was cancelled: nothing asks for it any more', {
  isPassing: true,
})
const tooLong = new DownloadError(
  'DownloadFailed',
  'The download takes longer than a day: use a server that is nearer; it goes on from here',
  { isPassing: true },
)

async function roomIn(folder: string): Promise<number> {
  const { capacityBytes, availableBytes } = await measure(folder)
  return availableBytes - Math.min(RESERVE_BYTES, capacityBytes * RESERVE_SHARE)
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof DownloadError) return { code: error.code, message: error.message }
  return { code: 'DownloadFailed', message: 'The host cannot download the file: look into the log of its agent' }
}

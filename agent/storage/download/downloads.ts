import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../../durable-file.ts'
import type { DesiredImage, InspectedImage } from '../../contract.ts'
import type { Refusal } from '../import-file.ts'
import { newInspect, type InspectDeps } from '../inspect.ts'
import { timeLeft, type TimeLeft } from '../job.ts'
import { newLocks } from '../lock.ts'
import { hasSent } from './origins.ts'
import { isThere, placesOf, removeAll } from './places.ts'
import { newTransfers, type Transfer, type TransfersDeps } from './transfers.ts'

/** Files that are downloaded, each named by its SHA-256, and sent once by every URL that asks for it. They are to hosts what an import folder is, but filled by us. */
export interface Downloads {
  /** As `HostAgent.putImage`. */
  put(order: DesiredImage, waitMs: number | undefined): Promise<InspectedImage>
  /** As `HostAgent.deleteImage`. */
  remove(sha256: string): Promise<void>
}

export type DownloadsDeps = TransfersDeps & Pick<InspectDeps, 'qemuImg'>

export function newDownloads(deps: DownloadsDeps): Downloads {
  const { downloadDir } = deps
  const transfers = newTransfers(deps)
  const inspect = newInspect({ ...deps, importDir: downloadDir })
  const locks = newLocks()

  const look = (order: DesiredImage): Promise<Transfer | Refusal | 'Whole'> =>
    locks.with([order.sha256], async () => {
      const running = transfers.running(order)
      if (running) return running
      const places = placesOf(downloadDir, order)
      if ((await isThere(places.whole)) && (await hasSent(places, order.url))) return 'Whole'
      return transfers.refusal(order) ?? transfers.start(order)
    })

  /** The very same checks as for a file that a person put into the import folder, the digest among them. */
  const check = async (order: DesiredImage, leftMs: TimeLeft): Promise<InspectedImage> => {
    const { sha256, format } = order
    const found = await inspect({ path: sha256, format, sha256 }, leftMs())
    if (found.state !== 'Refused' || found.code !== 'ChecksumMismatch') return found
    // It was right when it came. Who asks again has it fetched anew.
    await rm(placesOf(downloadDir, order).whole, { force: true })
    return { state: 'Downloading', receivedBytes: 0 }
  }

  const progressOf = ({ isWaiting, receivedBytes, totalBytes, trouble }: Transfer): InspectedImage => ({
    state: 'Downloading',
    receivedBytes,
    ...(totalBytes !== undefined && { totalBytes }),
    ...(isWaiting && { waitsFor: transfers.underWay }),
    ...(trouble && { trouble }),
  })

  const put = async (order: DesiredImage, leftMs: TimeLeft): Promise<InspectedImage> => {
    const found = await look(order)
    if (found === 'Whole') return check(order, leftMs)
    if ('code' in found) return { state: 'Refused', ...found }
    const refusal = await found.job.result(leftMs())
    if (refusal) return { state: 'Refused', ...refusal }
    return found.job.isRunning ? progressOf(found) : put(order, leftMs)
  }

  return {
    put: (order, waitMs) => put(order, timeLeft(waitMs)),
    remove: (sha256) =>
      locks.with([sha256], async () => {
        await transfers.cancel(sha256)
        await removeAll(downloadDir, sha256)
        await syncFolder(downloadDir)
      }),
  }
}

/** Makes the folder, and removes what a crash left half written of what servers said. Parts stay, to go on from. */
export async function prepareDownloads(downloadDir: string): Promise<void> {
  await mkdir(downloadDir, { recursive: true, mode: 0o700 })
  const names = await readdir(downloadDir)
  const left = names.filter((name) => name.endsWith('.tmp'))
  await Promise.all(left.map((name) => rm(join(downloadDir, name), { force: true })))
}

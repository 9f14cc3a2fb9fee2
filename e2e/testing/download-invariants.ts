import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { isReady, type Found, type Platform } from './platform.ts'
import type { Entry } from './recycle-bin.ts'
import { HOST } from './under-test.ts'

/** Who stands for a file that hosts downloaded. */
interface Holder {
  readonly name: string
  readonly sha256: string
  /** That were told to download it, and so are to have it. */
  readonly hosts: readonly string[]
}

/**
 * What is wrong with the files that hosts downloaded: one that no Image and no entry of the recycle bin stands for, one of
 * which only a part is there, one that is gone, and one with other bytes.
 */
export async function wrongDownloads(
  { home }: Pick<Platform, 'home'>,
  images: readonly Found[],
  bin: readonly Entry[],
): Promise<string[]> {
  const folders = [
    { host: 'host-1', folder: join(home, 'agent', 'images') },
    { host: HOST, folder: join(home, HOST, 'state', 'images') },
  ]
  const holders = [...images.flatMap(toHolder), ...bin.flatMap(toKeeper)]
  const wrong = folders.map(async ({ host, folder }) => {
    const digests = new Map(holders.filter(({ hosts }) => hosts.includes(host)).map((one) => [one.sha256, one.name]))
    const names = await readdir(folder)
    const gone = [...digests].filter(([sha256]) => !names.includes(sha256))
    const each = await Promise.all(names.map((name) => wrongFile(folder, name, digests)))
    const all = [...gone.map(([sha256, name]) => `the download ${sha256} of ${name} is gone`), ...each.flat()]
    return all.map((what) => `on ${host} ${what}`)
  })
  return (await Promise.all(wrong)).flat()
}

const spec = z.looseObject({
  checksum: z.string().optional(),
  source: z.object({ http: z.looseObject({}).optional() }),
})
const told = z.array(z.string()).default([])

/** One that is not ready is wrong already. */
function toHolder(image: Found): Holder[] {
  const { checksum, source } = spec.parse(image['spec'])
  if (!source.http || checksum === undefined || !isReady(image)) return []
  const hosts = told.parse(image.status?.['downloadHosts'])
  return [{ name: `Image ${image.metadata.name}`, sha256: checksum.replace('sha256:', ''), hosts }]
}

function toKeeper({ name, contents }: Entry): Holder[] {
  return contents?.download ? [{ name: `entry ${name}`, ...contents.download }] : []
}

const LEFT_BESIDE = '.origins'

async function wrongFile(folder: string, name: string, digests: ReadonlyMap<string, string>): Promise<string[]> {
  const sha256 = name.endsWith(LEFT_BESIDE) ? name.slice(0, -LEFT_BESIDE.length) : name
  if (!/^[0-9a-f]{64}$/.test(sha256)) return [`a part of a download is left: ${name}`]
  if (!digests.has(sha256)) return [`the download ${name} is left`]
  if (sha256 !== name) return []
  const bytes = await readFile(join(folder, name)).catch(() => undefined)
  const isSame = bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === sha256
  return isSame ? [] : [`the download ${sha256} has other bytes`]
}

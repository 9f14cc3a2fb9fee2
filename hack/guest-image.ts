import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GuestImageError } from './guest-image/errors.ts'
import { initramfs } from './guest-image/initramfs.ts'
import { cacheFolder } from '../local/user-folders.ts'
import { identify } from '../lib/process-identity.ts'
import { ifMissing } from './guest-image/errors.ts'
import { holdLock } from './guest-image/lock.ts'
import { readModules } from './guest-image/modules.ts'
import { writeDisk } from './guest-image/disk.ts'
import { fetchPackages } from './guest-image/packages.ts'
import { recipeKey } from './guest-image/recipe.ts'
import { run } from './guest-image/run.ts'

const IMAGE = 'holdfast-guest.qcow2'
const CHECKSUM = `${IMAGE}.sha256`
const QUICK_TIMEOUT_MS = 10_000

export interface GuestImage {
  /** A qcow2 image, version 3, of 64 MiB virtual size. Others boot it too: nobody may write to it. */
  readonly path: string
  /** In lower-case hexadecimal digits, of the file. */
  readonly sha256: string
}

export interface BuildOptions {
  /** The project's cache folder; the image is kept in guest/KEY below it. Made if it is missing. */
  readonly cacheDir: string
  /** Takes each step as a line for a user. */
  readonly log: (message: string) => void
}

/**
 * Finds in the cache, or builds from the distribution's packages, a small Linux that boots from a virtio disk and says
 * on its serial console what it sees (guest-image/root/etc/boot). Throws GuestImageError.
 */
export async function buildGuestImage({ cacheDir, log }: BuildOptions): Promise<GuestImage> {
  const key = await recipeKey()
  const images = join(cacheDir, 'guest')
  const found = await findImage(join(images, key))
  if (found) return found

  await mkdir(images, { recursive: true })
  await using undo = new AsyncDisposableStack()
  undo.use(await holdLock(join(images, `${key}.lock`), log))
  const foundNow = await findImage(join(images, key))
  if (foundNow) return foundNow

  await run('qemu-img', ['--version'], { timeoutMs: QUICK_TIMEOUT_MS })
  await removeLeftovers(images)
  const work = join(images, `build.${process.pid}`)
  await mkdir(join(work, 'done'), { recursive: true })
  try {
    await build(work, log)
    await rm(join(images, key), { recursive: true, force: true })
    await rename(join(work, 'done'), join(images, key))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  const built = await findImage(join(images, key))
  if (!built) throw new GuestImageError('Busy', 'Another process removed the guest image: try again')
  return built
}

/** The image of a folder of the cache. One that is not what was built does not count. */
async function findImage(dir: string): Promise<GuestImage | undefined> {
  const path = join(dir, IMAGE)
  const wanted = await readFile(join(dir, CHECKSUM), 'utf8').catch(ifMissing(undefined))
  const content = await readFile(path).catch(ifMissing(undefined))
  if (wanted === undefined || content === undefined) return undefined
  const sha256 = createHash('sha256').update(content).digest('hex')
  return wanted.startsWith(sha256) ? { path, sha256 } : undefined
}

/** What builds left behind that were killed. */
async function removeLeftovers(images: string): Promise<void> {
  for (const name of await readdir(images)) {
    const pid = Number(/^build\.(\d+)$/.exec(name)?.[1] ?? process.pid)
    if (!(await identify(pid))) await rm(join(images, name), { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Leaves the image and its checksum in done/ below `work`, on stable storage. */
async function build(work: string, log: (message: string) => void): Promise<void> {
  const root = await fetchPackages(work, log)
  const busybox = await firstOf(root, 'usr/bin/busybox', 'bin/busybox')
  const modules = await firstOf(root, 'usr/lib/modules', 'lib/modules')
  const version = await onlyOne(modules)

  log(`making the disk, with Linux ${version}`)
  const system = await initramfs(
    await readFile(busybox),
    await readApplets(busybox),
    await readModules(join(modules, version), busybox),
  )
  const kernel = join(root, 'boot', `vmlinuz-${version}`)
  const image = join(work, 'done', IMAGE)
  await writeDisk(root, work, { kernel, initramfs: system }, image)

  const sha256 = createHash('sha256')
    .update(await readFile(image))
    .digest('hex')
  await writeFile(join(work, 'done', CHECKSUM), `${sha256}  ${IMAGE}\n`, { flush: true })
  await using file = await open(image, 'r+')
  await file.sync()
  await file.chmod(0o444)
}

/** What this busybox can do. Throws if that is not enough for root/etc. */
async function readApplets(busybox: string): Promise<string[]> {
  const { stdout } = await run(busybox, ['--list'], { timeoutMs: QUICK_TIMEOUT_MS })
  const applets = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')
  const missing = ['init', 'sh', 'insmod', 'udhcpc', 'poweroff'].find((name) => !applets.includes(name))
  if (missing !== undefined) throw unexpected(`${missing} in busybox`)
  return applets
}

// A distribution that has merged /usr has moved its files there, but not those of every package.
async function firstOf(root: string, ...paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    if (await stat(join(root, path)).catch(ifMissing(undefined))) return join(root, path)
  }
  throw unexpected(paths.join(' or '))
}

async function onlyOne(dir: string): Promise<string> {
  const [name, ...others] = await readdir(dir)
  if (name === undefined || others.length > 0) throw unexpected(`one folder in ${dir}`)
  return name
}

function unexpected(what: string): GuestImageError {
  const message = `The distribution's packages do not have ${what}: give the path of another bootable image`
  return new GuestImageError('PackagesUnsuitable', message)
}

async function main(cacheDir: string): Promise<void> {
  try {
    const image = await buildGuestImage({ cacheDir, log: (message) => console.error(`guest image: ${message}`) })
    console.log(JSON.stringify(image))
  } catch (error) {
    if (!(error instanceof GuestImageError)) throw error
    console.error(`guest image: ${error.message}`)
    process.exitCode = 1
  }
}

// oxlint-disable-next-line node/no-process-env -- This is a program's main part.
if (import.meta.main) await main(cacheFolder(process.env))

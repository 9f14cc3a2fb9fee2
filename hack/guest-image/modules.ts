import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { GuestImageError } from './errors.ts'
import { run } from './run.ts'

const UNPACK_TIMEOUT_MS = 30_000

/** What the guest cannot work without: its disk, its network, its file system and the power button. */
const required = ['virtio_pci', 'virtio_blk', 'virtio_net', 'vfat', 'nls_cp437', 'button', 'evdev']

// Which character sets a FAT needs depends on how the kernel was built. pvpanic tells QEMU of a kernel's panic.
const optional = [
  'nls_ascii',
  'nls_iso8859_1',
  'nls_utf8',
  'virtio_rng',
  'virtio_console',
  'pvpanic_pci',
  'pvpanic_mmio',
]

export interface KernelModule {
  /** The name that the kernel knows it by, with underscores. */
  readonly name: string
  /** The uncompressed object file. */
  readonly content: Buffer
}

/**
 * The modules the guest needs, in an order in which `insmod` can load them.
 * `dir` is what a kernel package has as /lib/modules/VERSION; `busybox` is a program that unpacks xz;
 * it does so in place.
 * Throws GuestImageError PackagesUnsuitable if one is neither there nor built into the kernel.
 */
export async function readModules(dir: string, busybox: string): Promise<KernelModule[]> {
  const files = await moduleFiles(dir)
  const builtIn = new Set((await readFile(join(dir, 'modules.builtin'), 'utf8')).split('\n').map(toName))
  const missing = required.find((name) => !files.has(name) && !builtIn.has(name))
  if (missing !== undefined) {
    const message = `The distribution's kernel has no ${missing}: give the path of another bootable image`
    throw new GuestImageError('PackagesUnsuitable', message)
  }

  const contents = new Map<string, Buffer>()
  const dependencies = new Map<string, string[]>()
  const pending = [...required, ...optional]
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    const file = files.get(name)
    if (file === undefined || contents.has(name)) continue
    const content = await unpack(file, busybox)
    contents.set(name, content)
    dependencies.set(name, dependenciesOf(content))
    pending.push(...dependenciesOf(content))
  }
  return loadOrder(dependencies).flatMap((name) => {
    const content = contents.get(name)
    return content ? [{ name, content }] : []
  })
}

async function moduleFiles(dir: string): Promise<Map<string, string>> {
  const entries = await readdir(join(dir, 'kernel'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && /\.ko(\.\w+)?$/.test(entry.name))
  return new Map(files.map((file) => [toName(file.name), join(file.parentPath, file.name)]))
}

/** The kernel's name of a module, from its file's name: hyphens are underscores. */
function toName(file: string): string {
  return basename(file)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_')
}

async function unpack(file: string, busybox: string): Promise<Buffer> {
  if (file.endsWith('.zst')) return zstdDecompressSync(await readFile(file))
  if (!file.endsWith('.xz')) return readFile(file)
  await run(busybox, ['xz', '-d', file], { timeoutMs: UNPACK_TIMEOUT_MS })
  return readFile(file.slice(0, -'.xz'.length))
}

/** The names in the `depends=` field of a module's .modinfo section. */
export function dependenciesOf(content: Buffer): string[] {
  const field = /\0depends=([^\0]*)\0/.exec(content.toString('latin1'))
  return (field?.[1] ?? '').split(',').filter(Boolean).map(toName)
}

/** Each name after those it depends on; what has no entry is built in. Throws on a circle. */
export function loadOrder(dependencies: ReadonlyMap<string, readonly string[]>): string[] {
  const ordered = new Set<string>()
  const visit = (name: string, path: readonly string[]) => {
    if (path.includes(name)) throw new Error(`modules depend on each other: ${[...path, name].join(', ')}`)
    for (const needed of dependencies.get(name) ?? []) visit(needed, [...path, name])
    if (dependencies.has(name)) ordered.add(name)
  }
  for (const name of dependencies.keys()) visit(name, [])
  return [...ordered]
}

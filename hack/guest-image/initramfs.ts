import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { cpio, type CpioEntry } from './cpio.ts'
import type { KernelModule } from './modules.ts'

const folders = ['bin', 'dev', 'disk', 'etc', 'lib', 'lib/modules', 'proc', 'sys', 'tmp']

/** The whole system of the guest, as the kernel unpacks it into memory: busybox, the modules and `scripts`. */
export async function initramfs(
  busybox: Buffer,
  applets: readonly string[],
  modules: readonly KernelModule[],
): Promise<Buffer> {
  const entries: CpioEntry[] = [
    ...folders.map((name) => ({ type: 'directory', name }) as const),
    { type: 'file', name: 'bin/busybox', content: busybox, executable: true },
    { type: 'symlink', name: 'init', target: 'bin/busybox' },
    ...applets.map((applet) => ({ type: 'symlink', name: `bin/${applet}`, target: 'busybox' }) as const),
    ...modules.map(({ name, content }) => ({ type: 'file', name: `lib/modules/${name}.ko`, content }) as const),
    { type: 'file', name: 'lib/modules/order', content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')) },
    ...(await scripts()),
  ]
  return gzipSync(cpio(entries), { level: 9 })
}

/** What stands in root/etc beside this file. */
async function scripts(): Promise<CpioEntry[]> {
  const dir = join(import.meta.dirname, 'root', 'etc')
  const names = (await readdir(dir)).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const content = await readFile(join(dir, name))
      // By what it says, for a checkout may have lost the permissions.
      const executable = content.toString().startsWith('#!')
      return { type: 'file', name: `etc/${name}`, content, executable } as const
    }),
  )
}

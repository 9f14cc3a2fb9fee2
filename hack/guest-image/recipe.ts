import { createHash } from 'node:crypto'
import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GuestImageError, ifMissing } from './errors.ts'

/**
 * Names what this machine would build: a hash over the recipe's own sources and the distribution's release.
 * Newer packages of the same release do not change it. Throws GuestImageError MachineUnsupported.
 */
export async function recipeKey(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(ifMissing(''))
  if (process.arch !== 'x64' || !isDebianFamily(release)) {
    const message =
      'The guest image can be built on a 64-bit PC with Debian or Ubuntu only: give the path of another bootable image'
    throw new GuestImageError('MachineUnsupported', message)
  }
  const hash = createHash('sha256').update(`${field(release, 'ID')} ${field(release, 'VERSION_CODENAME')}\0`)
  const dir = join(import.meta.dirname, '..')
  const files = await Array.fromAsync(glob(['guest-image.ts', 'guest-image/*.ts', 'guest-image/root/**'], { cwd: dir }))
  for (const file of files.filter((name) => /\.ts$|\/etc\/./.test(name) && !name.endsWith('.test.ts')).toSorted()) {
    hash.update(`${file}\0`).update(await readFile(join(dir, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

/** Whether a machine with this os-release(5) uses apt and Debian's package names. */
export function isDebianFamily(release: string): boolean {
  const family = `${field(release, 'ID')} ${field(release, 'ID_LIKE')}`.split(' ')
  return family.some((name) => name === 'debian' || name === 'ubuntu')
}

function field(release: string, name: string): string {
  return new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? ''
}

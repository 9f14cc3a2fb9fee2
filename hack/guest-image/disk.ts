import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.ts'

const SECTORS = (64 * 2 ** 20) / 512
const TOOL_TIMEOUT_MS = 60_000

/** The name of the file system, by which the guest finds it: at most 11 characters. The guest's scripts know it too. */
const LABEL = 'HOLDFAST'
const VOLUME_ID = '48464753'

/** The time of every file, so that equal packages give an equal image. */
const EPOCH_SECONDS = 1_700_000_000

// quiet: a line of the kernel's would come between those that tests read. panic: a crash restarts the guest. The rest
// leaves out what a guest that is emulated takes a quarter of its boot for.
const kernelArguments =
  'console=ttyS0,115200 quiet panic=1 mitigations=off lsm= nokaslr cryptomgr.notests tsc=reliable no_timer_check'

const syslinuxConf = `SERIAL 0 115200
DEFAULT holdfast
LABEL holdfast
  LINUX vmlinuz
  INITRD initrd.gz
  APPEND ${kernelArguments}
`

export interface BootFiles {
  /** The bzImage. */
  readonly kernel: string
  readonly initramfs: Buffer
}

/**
 * Writes a qcow2 image (version 3, virtual size 64 MiB) that SeaBIOS boots: one FAT over the whole disk, made bootable
 * by syslinux. `root` is where the packages were unpacked, `dir` a folder for what lies between.
 */
export async function writeDisk(root: string, dir: string, files: BootFiles, image: string): Promise<void> {
  const raw = join(dir, 'disk.raw')
  const programs = join(root, 'usr', 'bin')
  // syslinux calls mtools by their names.
  const env = {
    PATH: `${programs}:/usr/bin:/bin`,
    LC_ALL: 'C',
    TZ: 'UTC',
    TMPDIR: dir,
    SOURCE_DATE_EPOCH: `${EPOCH_SECONDS}`,
  }
  const tool = (name: string, ...args: string[]) => run(join(programs, name), args, { timeoutMs: TOOL_TIMEOUT_MS, env })

  await tool(
    'mformat',
    '-i',
    raw,
    '-C',
    '-T',
    `${SECTORS}`,
    '-h',
    '255',
    '-s',
    '63',
    '-v',
    LABEL,
    '-N',
    VOLUME_ID,
    '::',
  )
  const module = join(root, 'usr', 'lib', 'syslinux', 'modules', 'bios', 'ldlinux.c32')
  await tool('mcopy', '-i', raw, module, '::/')
  await tool('mcopy', '-i', raw, files.kernel, '::/vmlinuz')
  const made = [
    ['initrd.gz', files.initramfs],
    ['syslinux.cfg', Buffer.from(syslinuxConf)],
  ] as const
  for (const [name, content] of made) {
    const file = join(dir, name)
    await writeFile(file, content)
    await tool('mcopy', '-i', raw, file, `::/${name}`)
  }
  await tool('syslinux', '--install', raw)

  // Not compressed: three megabytes more, but the guest boots most of a second sooner.
  const convert = ['convert', '-f', 'raw', '-O', 'qcow2', '-o', 'compat=1.1', raw, image]
  await run('qemu-img', convert, { timeoutMs: TOOL_TIMEOUT_MS })
}

import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { machinePaths } from '../paths.ts'
import { preparePad, toSentence } from './launch.ts'

async function newPadWorld() {
  const dir = await mkdtemp(join(tmpdir(), 'hf-'))
  const folders = { serial: join(dir, 'serial'), logs: join(dir, 'logs'), run: join(dir, 'run') }
  await Promise.all([folders.serial, folders.logs].map((folder) => mkdir(folder)))
  return {
    paths: machinePaths(folders, randomUUID()),
    run: folders.run,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true }),
  }
}

async function isOpenHere(path: string): Promise<boolean> {
  const descriptors = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`))
  return (await Promise.allSettled(descriptors)).some((one) => one.status === 'fulfilled' && one.value === path)
}

test('Run folder that is missing is not made for one machine, for the others could not pass through it', async () => {
  await using world = await newPadWorld()
  await expect(preparePad(world.paths, undefined)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(readdir(world.run)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('Folder that a process left behind is used again', async () => {
  await using world = await newPadWorld()
  await mkdir(world.paths.runDir, { recursive: true })
  await using pad = await preparePad(world.paths, undefined)
  expect(pad.logStart).toBe(0)
})

test('Log of a process that cannot be prepared is not left open', async () => {
  await using world = await newPadWorld()
  await writeFile(world.run, 'no folder')
  await expect(preparePad(world.paths, undefined)).rejects.toMatchObject({ code: 'ENOTDIR' })
  expect(await isOpenHere(world.paths.qemuLog)).toBe(false)
})

test.each([
  ['', 'QEMU ended without a message'],
  ['qemu-system-x86_64: cannot set up guest memory\n', 'cannot set up guest memory'],
  ['qemu-system-x86_64: bad\nqemu-system-x86_64: warning: TCG does not\n\n', 'bad'],
  ['qemu-system-x86_64: -blockdev {"driver":"file","filename":"/d/x"}: Could not open', 'Could not open'],
  ["qemu: -machine pc-q35-9,accel=tcg: unsupported machine type\nUse '-machine help'", 'unsupported machine type'],
  ['qemu: cannot create PID file: Cannot lock /run/h/0000/pid', 'cannot create PID file: Cannot lock pid'],
  ["qemu: Could not open '/srv/a b/x.qcow2': Permission denied", "Could not open 'x.qcow2': Permission denied"],
  ['x'.repeat(1000), 'x'.repeat(300)],
])('What QEMU prints becomes one sentence: %j', (text, sentence) => {
  expect(toSentence(text)).toBe(sentence)
})

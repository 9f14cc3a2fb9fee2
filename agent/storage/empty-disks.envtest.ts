import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { newEmptyDisks, type Backing } from './empty-disks.ts'
import { newQemuImg, type QemuImg } from './qemu-img.ts'
import { probeSandbox } from './sandbox.ts'
import { call, newFolder } from './testing.ts'

const GIB = 2 ** 30
const debian: Backing = { name: `../images/${'a'.repeat(64)}.qcow2`, format: 'qcow2' }

/** The real program, and how often it was run. */
async function countedQemuImg() {
  const real = newQemuImg('qemu-img', await probeSandbox())
  const made: string[] = []
  const create: QemuImg['create'] = (path, ...rest) => {
    made.push(path)
    return real.create(path, ...rest)
  }
  return { create, made }
}

test.each<[string, number, Backing | undefined]>([
  ['without an image', GIB, undefined],
  ['of one sector', 512, undefined],
  ['of an odd number of sectors', GIB + 512, debian],
  ['of an image', 8 * GIB, debian],
  ['of a raw image', 8 * GIB, { ...debian, format: 'raw' }],
  ['of 64 TiB', 64 * 1024 * GIB, debian],
])('every empty disk %s is, byte for byte, what qemu-img makes', async (_, sizeBytes, backing) => {
  await using folder = await newFolder()
  const qemuImg = await countedQemuImg()
  const emptyDisks = newEmptyDisks(qemuImg)
  const [first, second, byHand] = ['first', 'second', 'by-hand'].map((name) => join(folder.path, name))
  if (first === undefined || second === undefined || byHand === undefined) throw new Error('unreachable')
  await emptyDisks.make(first, sizeBytes, backing)
  await emptyDisks.make(second, sizeBytes, backing)
  expect(qemuImg.made).toEqual([first])
  await qemuImg.create(byHand, sizeBytes, backing)
  const expected = await readFile(byHand)
  expect(expected.equals(await readFile(first))).toBe(true)
  expect(expected.equals(await readFile(second))).toBe(true)
  expect((await stat(second)).mode % 0o1000).toBe(0o600)
  if (!backing) await call('qemu-img', 'check', '-q', '-f', 'qcow2', second)
})

test('empty disks of other sizes, images or formats are of another kind', async () => {
  await using folder = await newFolder()
  const qemuImg = await countedQemuImg()
  const emptyDisks = newEmptyDisks(qemuImg)
  const kinds: [number, Backing?][] = [[GIB], [2 * GIB], [GIB, debian], [GIB, { ...debian, format: 'raw' }]]
  for (const [index, kind] of kinds.entries()) await emptyDisks.make(join(folder.path, String(index)), ...kind)
  expect(qemuImg.made).toHaveLength(kinds.length)
})

test('an empty disk never replaces a file, and a qemu-img that fails is asked again', async () => {
  await using folder = await newFolder()
  const qemuImg = await countedQemuImg()
  let fails = true
  const create: QemuImg['create'] = async (...args) => {
    if (fails) throw new Error('it failed')
    return qemuImg.create(...args)
  }
  const emptyDisks = newEmptyDisks({ create })
  await expect(emptyDisks.make(join(folder.path, 'a'), GIB)).rejects.toThrow('it failed')
  fails = false
  await emptyDisks.make(join(folder.path, 'b'), GIB)
  await expect(emptyDisks.make(join(folder.path, 'b'), GIB)).rejects.toMatchObject({ code: 'EEXIST' })
  expect(qemuImg.made).toHaveLength(1)
})

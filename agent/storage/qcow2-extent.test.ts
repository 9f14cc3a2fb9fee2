import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findExtent } from './qcow2-extent.ts'
import type { Qcow2Header } from './qcow2-header.ts'
import { newFolder } from './testing.ts'

const TABLES = 4
const CLUSTER_BYTES = 512

async function extentOf(options: Parameters<typeof findExtent>[3]) {
  await using folder = await newFolder()
  const file = await open(join(folder.path, 'image'), 'w+')
  try {
    const l1 = Buffer.alloc(CLUSTER_BYTES)
    for (let at = 0; at < TABLES; at += 1) l1.writeBigUInt64BE(BigInt((at + 2) * CLUSTER_BYTES), at * 8)
    await file.write(l1, 0, l1.length, CLUSTER_BYTES)
    await file.truncate((TABLES + 2) * CLUSTER_BYTES)
    const header = {
      clusterBytes: CLUSTER_BYTES,
      virtualSizeBytes: 2 ** 20,
      hasExtendedL2: false,
      refcounts: { offset: 0, entries: 0 },
      l1: { offset: CLUSTER_BYTES, entries: TABLES },
    } as Qcow2Header
    return await findExtent(file, header, (TABLES + 2) * CLUSTER_BYTES, options)
  } finally {
    await file.close()
  }
}

test('the tables of an image are followed up to a limit', async () => {
  expect(await extentOf({ maxTables: TABLES })).toEqual({ endBytes: (TABLES + 2) * CLUSTER_BYTES })
  expect(await extentOf({ maxTables: TABLES - 1 })).toEqual({ fault: 'TooManyTables' })
})

test('the tables of an image are not followed further when the check is to stop', async () => {
  expect(await extentOf({ mayGoOn: async () => false })).toEqual({ fault: 'Stopped' })
})

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { removeDrafts } from './backup.ts'

test("A backup removes what backups that were killed left, and nothing that is in use or is somebody else's", async () => {
  const root = await mkdtemp(join(tmpdir(), 'hf-backup-'))
  const kept = ['backup-2026', `backup-draft-${process.pid}-abc`, 'pki']
  try {
    for (const name of [...kept, 'backup-draft-4194305-abc']) await mkdir(join(root, name, 'pki'), { recursive: true })
    await removeDrafts({ root })
    expect(new Set(await readdir(root))).toEqual(new Set(kept))
  } finally {
    await rm(root, { recursive: true })
  }
})

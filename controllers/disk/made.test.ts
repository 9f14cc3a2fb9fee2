import { expect, test } from 'vitest'
import type { Disk } from '../../crds/disk.ts'
import { disk, newDisk } from '../../crds/testing/objects.ts'
import { newMadeDisks } from './made.ts'

test('a disk counts as made from the moment that its host says so until it says so itself, or is gone', () => {
  const told: string[] = []
  let change = (_before: Disk | undefined, _after: Disk | undefined): void => undefined
  const made = newMadeDisks({
    onChange: (listener) => {
      change = listener
    },
    onMade: ({ metadata }) => told.push(metadata.name),
  })
  const fresh = newDisk()
  expect(made.has(fresh)).toBe(false)
  made.note(fresh)
  expect(told).toEqual([fresh.metadata.name])
  change(fresh, fresh)
  expect(made.has(fresh)).toBe(true)
  const ready = { ...disk('any', { size: '1Gi' }), metadata: fresh.metadata }
  change(fresh, ready)
  expect(made.has(fresh)).toBe(false)

  made.note(fresh)
  change(fresh, undefined)
  expect(made.has(fresh)).toBe(false)
})

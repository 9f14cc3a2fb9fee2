import { expect, test } from 'vitest'
import { newSpaceMeter } from './space-meter.ts'

const space = { capacityBytes: 100, availableBytes: 40 }

test('A storage that answers is measured anew each time', async () => {
  let availableBytes = 40
  const measure = newSpaceMeter(async () => ({ ...space, availableBytes: availableBytes-- }))
  expect(await measure('fast')).toEqual({ name: 'fast', space })
  expect(await measure('fast')).toMatchObject({ space: { availableBytes: 39 } })
})

test('A storage that cannot be used has no space, and neither has one whose file system does not tell', async () => {
  const unusable = newSpaceMeter(() => Promise.reject(new Error('not mounted')))
  expect(await unusable('fast')).toEqual({ name: 'fast', space: undefined })
  const mute = newSpaceMeter(async () => ({ capacityBytes: 0, availableBytes: 0 }))
  expect(await mute('fast')).toEqual({ name: 'fast', space: undefined })
})

test('A storage that hangs is left out after a moment, and not asked again until it has answered', async () => {
  const { promise, resolve } = Promise.withResolvers<typeof space>()
  let asked = 0
  const measure = newSpaceMeter(async (name) => {
    if (name === 'slow') asked += 1
    return name === 'slow' ? promise : space
  }, 10)
  for (const _ of [1, 2, 3]) {
    expect(await Promise.all(['slow', 'fast'].map(measure))).toEqual([
      { name: 'slow', space: undefined },
      { name: 'fast', space },
    ])
  }
  expect(asked).toBe(1)
  resolve(space)
  await expect.poll(() => measure('slow')).toEqual({ name: 'slow', space })
  expect(asked).toBe(1 + 1)
})

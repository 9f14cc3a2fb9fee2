import { describe, expect, test } from 'vitest'
import { condition, image } from '../crds/testing/objects.ts'
import { imageObjection, sizeOf } from './image-use.ts'

const use = { namespace: 'shop', name: 'debian' }

describe('Image', () => {
  test.each([undefined, '2Gi', '2048Mi', '1Ti'])('of 2Gi makes a disk of %s', (size) => {
    expect(imageObjection(image(), { ...use, size })).toBeUndefined()
  })

  test.each([undefined, 'garbage', '1e400'])('whose size reads %j is not ready', (virtualSize) => {
    expect(imageObjection(image({ virtualSize }), { ...use, size: '1Gi' })).toEqual({
      reason: 'ImageNotReady',
      message: 'Image debian is not ready: its size is not known yet',
      final: false,
    })
    expect(sizeOf(image({ virtualSize }))).toBeUndefined()
  })

  test('that is not there cannot be used until somebody creates it', () => {
    expect(imageObjection(undefined, use)).toEqual({
      reason: 'ImageNotFound',
      message: 'There is no Image debian in namespace shop: create it',
      final: true,
    })
  })

  test.each([
    [[condition({ status: 'False', message: 'the file is missing' })], 'the file is missing'],
    [[condition({ status: 'Unknown', message: '' })], 'it was not looked at yet'],
    [[], 'it was not looked at yet'],
  ])('that is not ready says why: %j', (conditions, why) => {
    expect(imageObjection(image({ conditions }), use)).toEqual({
      reason: 'ImageNotReady',
      message: `Image debian is not ready: ${why}`,
      final: false,
    })
  })

  test.each([
    ['2Gi', '1Gi', '2Gi'],
    ['2147483649', '2Gi', '2049Mi'],
  ])('of %s makes no disk of %s, but one of %s', (virtualSize, size, wanted) => {
    const found = image({ virtualSize })
    expect(imageObjection(found, { ...use, size })).toEqual({
      reason: 'DiskTooSmall',
      message: `A disk of ${size} is smaller than Image debian: ask for ${wanted} or more`,
      final: true,
    })
    expect(sizeOf(found)).toBe(wanted)
    expect(imageObjection(found, { ...use, size: wanted })).toBeUndefined()
  })
})

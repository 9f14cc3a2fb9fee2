import { expect, test } from 'vitest'
import { dependenciesOf, loadOrder } from './modules.ts'

test('loadOrder puts each module after what it depends on and leaves out what is built in', () => {
  const order = loadOrder(
    new Map([
      ['virtio_pci', ['virtio', 'virtio_ring']],
      ['virtio', ['virtio_ring']],
      ['virtio_blk', ['virtio_ring', 'virtio', 'blk_core']],
      ['virtio_ring', []],
    ]),
  )
  expect(order).toEqual(['virtio_ring', 'virtio', 'virtio_pci', 'virtio_blk'])
})

test('loadOrder refuses modules that depend on each other', () => {
  expect(() =>
    loadOrder(
      new Map([
        ['a', ['b']],
        ['b', ['a']],
      ]),
    ),
  ).toThrow('a, b, a')
})

test.each([
  { modinfo: 'license=GPL\0depends=virtio-ring,fat\0name=x\0', names: ['virtio_ring', 'fat'] },
  { modinfo: 'license=GPL\0depends=\0name=x\0', names: [] },
  { modinfo: 'license=GPL\0name=x\0', names: [] },
])('dependenciesOf reads $names', ({ modinfo, names }) => {
  expect(dependenciesOf(Buffer.concat([Buffer.from([0x7f, 0xff, 0]), Buffer.from(modinfo)]))).toEqual(names)
})

import { expect, test } from 'vitest'
import { kernelsIn } from './packages.ts'

test.each([
  {
    distribution: 'Debian',
    record:
      'Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.27-1)\nSection: kernel\n',
    names: ['linux-image-6.1.0-9-cloud-amd64'],
  },
  {
    distribution: 'Ubuntu',
    record:
      'Package: linux-image-6.8.0-31-generic\nDepends: kmod, linux-base (>= 4.5), linux-modules-6.8.0-31-generic\n',
    names: ['linux-modules-6.8.0-31-generic'],
  },
  { distribution: 'none', record: '', names: [] },
])("kernelsIn finds the kernel in a record of $distribution's", ({ record, names }) => {
  expect(kernelsIn(record)).toEqual(names)
})

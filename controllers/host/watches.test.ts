import { expect, test } from 'vitest'
import { machine } from '../../crds/testing/objects.ts'
import { newCaches } from '../cluster/caches.ts'
import { isOwned } from './watches.ts'

const ID = '11111111-1111-4111-8111-111111111111'

test.each([
  ['of its name, on its host', 'web', { machineId: ID, host: 'host-a' }, true],
  [
    'of another name, as after a restore of what was brought back under a new one',
    'old',
    { machineId: ID, host: 'host-a' },
    false,
  ],
  ['on another host', 'web', { machineId: ID, host: 'host-b' }, false],
  ['of its name that is another one', 'web', { machineId: ID.replaceAll('1', '2'), host: 'host-a' }, false],
])('A guest and a VirtualMachine %s', (_, name, status, expected) => {
  const caches = newCaches()
  caches.virtualMachines.put({ ...machine({}, { name }), status })
  expect(isOwned(caches, { id: ID, name: 'shop/web' }, 'host-a')).toBe(expected)
})

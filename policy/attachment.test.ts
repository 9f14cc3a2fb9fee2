import { expect, test } from 'vitest'
import { machine } from '../crds/testing/objects.ts'
import { isHeld } from './attachment.ts'

const attachment = { virtualMachine: 'web', machineId: 'id-1' }

test.each([
  ['that is gone', undefined, false],
  ['that was made anew', { ...machine(), status: { machineId: 'id-2' } }, false],
  ['that is there', { ...machine(), status: { machineId: 'id-1' } }, true],
  ['whose identity is not known', machine(), true],
])('Disk of a machine %s: %o, is held: %s', (_name, found, held) => {
  expect(isHeld(attachment, found)).toBe(held)
})

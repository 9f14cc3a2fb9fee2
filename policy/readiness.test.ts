import { expect, test } from 'vitest'
import { condition } from '../crds/testing/objects.ts'
import { notReady } from './readiness.ts'

test.each([
  ['is ready', { conditions: [condition({ message: 'ignored' })] }, undefined],
  ['is not', { conditions: [condition({ status: 'False', message: 'it breaks' })] }, 'it breaks'],
  ['is unknown', { conditions: [condition({ status: 'Unknown', message: 'no answer' })] }, 'no answer'],
  ['says nothing', { conditions: [condition({ status: 'False' })] }, 'it was not looked at yet'],
  ['has only other conditions', { conditions: [condition({ type: 'Placed' })] }, 'it was not looked at yet'],
  ['has no conditions', {}, 'it was not looked at yet'],
  ['has no status', undefined, 'it was not looked at yet'],
])('An object that %s', (_name, status, why) => {
  expect(notReady({ status })).toBe(why)
})

import { expect, test } from 'vitest'
import type { Kube, Reply } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { processName } from '../../lib/process-name.ts'
import { findLeader } from './leader.ts'

const own = await processName()

test.each([
  ['was never there', undefined, undefined],
  ['was released', { leaseTransitions: 7 }, undefined],
  ['is of a process that has ended', { holderIdentity: own.replace(/\d+$/, '1'), leaseTransitions: 7 }, undefined],
  [
    'is of a process of now',
    { holderIdentity: own, leaseTransitions: 7 },
    { holder: own, term: 7, resourceVersion: '1' },
  ],
  [
    'is of a process elsewhere',
    { holderIdentity: 'node-7', leaseTransitions: 7 },
    { holder: 'node-7', term: 7, resourceVersion: '1' },
  ],
])('a Lease that %s names its leader, or none', async (_, spec, leader) => {
  const lease = spec ? { metadata: { uid: 'u', resourceVersion: '1' }, spec } : undefined
  expect(await findLeader(kubeWith(lease))).toEqual(leader)
})

function kubeWith(lease: object | undefined): Pick<Kube, 'send'> {
  return {
    async send<T>(): Promise<Reply<T>> {
      if (!lease) throw new KubeError('NotFound', 'leases not found')
      return { status: 200, body: lease as T, warnings: [] }
    },
  }
}

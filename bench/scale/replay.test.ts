import { expect, test } from 'vitest'
import { machine } from '../../crds/testing/objects.ts'
import type { Call, Kube, Reply } from '../../lib/kube/client.ts'
import type { Step } from './recording.ts'
import { replay, scriptOf } from './replay.ts'

const DISKS = '/apis/storage.holdfast.dev/v1alpha1/namespaces/default/disks'
const STATUS = '/apis/compute.holdfast.dev/v1alpha1/namespaces/default/virtualmachines/model/status'

/** A model machine on a host, and what was done for it and for another one. */
function watched(): { vm: ReturnType<typeof machine>; steps: Step[] } {
  const vm = machine({}, { name: 'model', uid: 'vm-uid', resourceVersion: '1' })
  const steps: Step[] = [
    {
      to: 'api',
      call: {
        method: 'PUT',
        path: STATUS,
        body: { metadata: { uid: 'vm-uid', resourceVersion: '1' }, status: { host: 'h1' } },
      },
    },
    { to: 'api', call: { method: 'POST', path: DISKS, body: { metadata: { name: 'model-root' } } } },
    {
      to: 'api',
      call: {
        method: 'PUT',
        path: STATUS,
        body: { metadata: { uid: 'vm-uid', resourceVersion: '7' }, disk: 'disk-uid' },
      },
    },
    {
      to: 'api',
      call: {
        method: 'PUT',
        path: STATUS.replace('model', 'other'),
        body: { metadata: { uid: 'x', resourceVersion: '1' } },
      },
    },
  ]
  return {
    vm: {
      ...vm,
      status: { ...vm.status, host: 'h1', machineId: 'machine-id', decision: { id: 'decision-id' } } as never,
    },
    steps,
  }
}

test('What was done for the model is done for another machine, under its name, uid, host and versions', async () => {
  const { vm, steps } = watched()
  const sent: Call[] = []
  const kube: Pick<Kube, 'send'> = {
    async send<T>(call: Call): Promise<Reply<T>> {
      sent.push(call)
      const uid = call.method === 'POST' ? 'new-disk' : 'new-uid'
      return { status: 200, body: { metadata: { uid, resourceVersion: String(100 + sent.length) } } as T, warnings: [] }
    },
  }
  const part = { name: 'second', uid: 'new-uid', resourceVersion: '50', host: 'h2' }
  await replay(scriptOf(vm, 'disk-uid', steps), part, { kube: kube as Kube, agents: new Map() })
  expect(sent).toEqual([
    {
      method: 'PUT',
      path: STATUS.replace('model', 'second'),
      body: { metadata: { uid: 'new-uid', resourceVersion: '50' }, status: { host: 'h2' } },
    },
    { method: 'POST', path: DISKS, body: { metadata: { name: 'second-root' } } },
    {
      method: 'PUT',
      path: STATUS.replace('model', 'second'),
      body: { metadata: { uid: 'new-uid', resourceVersion: '101' }, disk: 'new-disk' },
    },
  ])
})

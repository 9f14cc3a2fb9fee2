import { expect, test } from 'vitest'
import type { Disk } from '../crds/disk.ts'
import { attachment, disk, machine } from '../crds/testing/objects.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Call, Kube, Reply } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { holdersNow } from './holders.ts'

const data = disk('data')
const spec = { disks: [attachment('data')] }
const root = disk('web-root', {
  attachedTo: { virtualMachine: 'web', machineId: '11111111-1111-4111-8111-111111111111' },
})

function having(name: string): VirtualMachine {
  return { ...machine(), status: { unnamedDisks: [name] } }
}

/** An API server that has these machines. */
function newCluster(machines: readonly VirtualMachine[]) {
  let asked = 0
  const send = async <T>({ path }: Call): Promise<Reply<T>> => {
    asked += 1
    const found = machines.find(({ metadata: { name } }) => path.endsWith(`/namespaces/shop/virtualmachines/${name}`))
    if (!found) throw new KubeError('NotFound', 'there is none')
    return { status: 200, body: found as T, warnings: [] }
  }
  const kube: Pick<Kube, 'send'> = { send }
  return { kube, asked: () => asked }
}

test.each<[string, Disk, VirtualMachine[], string[]]>([
  ['that asks for it', data, [machine(spec)], ['shop/web']],
  [
    'that has it still, though it asks for it no more',
    root,
    [machine({ rootDisk: { diskRef: { name: 'other' } } })],
    ['shop/web'],
  ],
  ['whose guest has it, though nothing here gives it one', data, [having('data')], ['shop/web']],
  ['that is gone', data, [], []],
  ['that is being deleted', data, [machine(spec, { deletionTimestamp: '2026-01-01T00:00:00Z' })], []],
  ['that gave it back', data, [machine()], []],
])('[REM-07] A disk is asked about at the machine %s', async (_, wanted, machines, expected) => {
  expect(await holdersNow(newCluster(machines).kube, wanted, ['shop/web'])).toEqual(expected)
})

test('[REM-07] A disk that a thousand machines ask for costs few questions', async () => {
  const names = Array.from({ length: 1000 }, (_, index) => `shop/m${index}`)
  const { kube, asked } = newCluster([])
  expect(await holdersNow(kube, data, names)).toHaveLength(990)
  expect(asked()).toBe(10)
})

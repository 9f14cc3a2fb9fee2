import { expect, test } from 'vitest'
import type { ObservedMachine } from '../../agent/contract.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { condition, host, machine } from '../../crds/testing/objects.ts'
import type { Call, Reply } from '../../lib/kube/client.ts'
import { linesOf, outdated, takeInventory, untilReady, type Waiting } from './readiness.ts'

const [ID, OTHER] = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222']

const said = (printableStatus: 'Running' | 'Stopped'): VirtualMachine => ({
  ...machine(),
  status: { machineId: ID, printableStatus },
})
const seen = (id: string, state: ObservedMachine['state']): ObservedMachine => ({
  id,
  name: 'default/web',
  decision: { id, epoch: 1 },
  power: 'Running',
  state,
  pendingRestart: [],
  restarts: 0,
  revision: 1,
})

test.each([
  ['runs', said('Running'), [seen(ID, 'Running')], 0],
  ['is paused, which is not told yet', said('Running'), [seen(ID, 'Paused')], 0],
  ['is off', said('Stopped'), [], 0],
  ['is unknown to its host, as after a restore', said('Running'), [seen(OTHER, 'Running')], 1],
  ['was switched off meanwhile', said('Running'), [seen(ID, 'Stopped')], 1],
])('the first look waits for news of a machine that %s, or not', (_, vm, observed, count) => {
  expect(outdated([vm], observed)).toHaveLength(count)
})

test('Objects that are not Ready are shown before those that are', () => {
  const ready = { ...host('host-1'), status: { conditions: [condition({ observedGeneration: 1 })] } }
  const lines = linesOf([ready, host('host-2')], ({ metadata }) => metadata.name, {
    max: 1,
    seeRest: 'kubectl get hfhost',
  })
  expect(lines).toEqual(['host-2', 'and 1 more; kubectl get hfhost'])
})

test('A start waits for no news of machines on hosts that have no guests', async () => {
  const conditions = [condition({ observedGeneration: 1 })]
  const vm: VirtualMachine = { ...machine(), status: { ...said('Running').status, host: 'simulated-1', conditions } }
  const told: string[] = []
  const inventory = await untilReady({
    kube: holding(vm),
    hosts: { machines: () => Promise.resolve(undefined), ports: new Map([['simulated-1', 1]]) },
    controllers: { has: () => true },
    say: (line) => told.push(line),
    signal: AbortSignal.timeout(5_000),
  })
  expect(inventory.machines).toEqual([vm])
  expect(told).toEqual([])
})

test('Of many machines all are found, page after page', async () => {
  const pages = new Map([
    ['', { items: [machine({}, { name: 'a' })], metadata: { continue: 'p2' } }],
    ['p2', { items: [machine({}, { name: 'b' })], metadata: {} }],
  ])
  const kube: Waiting['kube'] = {
    async send<T>({ path, query }: Call): Promise<Reply<T>> {
      const page = pages.get(String(query?.['continue'] ?? ''))
      const body = path.endsWith('/virtualmachines') ? page : { items: [], metadata: {} }
      return { status: 200, body: body as T, warnings: [] }
    },
  }
  const { machines } = await takeInventory(kube)
  expect(machines.map(({ metadata }) => metadata.name)).toEqual(['a', 'b'])
})

/** A cluster with one machine, in which somebody leads. */
function holding(vm: VirtualMachine): Waiting['kube'] {
  const lease = {
    metadata: { uid: 'u', resourceVersion: '1' },
    spec: { holderIdentity: 'node-7', leaseTransitions: 1 },
  }
  return {
    async send<T>({ path }: Call): Promise<Reply<T>> {
      const body = path.includes('/leases/')
        ? lease
        : { items: path.endsWith('/virtualmachines') ? [vm] : [], metadata: {} }
      return { status: 200, body: body as T, warnings: [] }
    },
  }
}

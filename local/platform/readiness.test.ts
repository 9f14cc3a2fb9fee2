import { expect, test } from 'vitest'
import type { ObservedMachine } from '../../agent/contract.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { machine } from '../../crds/testing/objects.ts'
import { outdated } from './readiness.ts'

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

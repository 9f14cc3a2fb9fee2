import { expect, test } from 'vitest'
import { MACHINE_ID, succeed, type Script } from '../qmp/testing.ts'
import { newMachineWorld as newWorld } from './testing-machine.ts'
import { decidedAnew, newDesired, newRecord } from './testing.ts'

const WAIT_MS = 10_000
const desired = newDesired({ id: MACHINE_ID })
const stores = { loadAll: async () => [], save: async () => undefined }

test('Guest that is being adopted is told of all the while', async () => {
  let answer: (() => void) | undefined
  const script: Script = (asked, wire) => {
    if (asked.execute === 'query-status' && !answer) answer = () => succeed(asked, wire)
    else succeed(asked, wire)
  }
  await using world = await newWorld(script)
  const found = await world.startFound()
  const machines = await world.openMachines([found], stores)
  await expect.poll(() => machines.list()).toMatchObject([{ pid: found.pid, problem: { code: 'OrderMissing' } }])
  const adopting = machines.put(desired, WAIT_MS)
  await expect.poll(() => answer).toBeDefined()
  expect(machines.list()).toMatchObject([{ id: MACHINE_ID, pid: found.pid }])
  answer?.()
  expect(await adopting).toMatchObject({ state: 'Running', pid: found.pid })
  expect(machines.list()).toMatchObject([{ id: MACHINE_ID, pid: found.pid }])
})

test('Guest whose order cannot be stored is told of', async () => {
  await using world = await newWorld()
  const found = await world.startFound()
  let isFull = true
  const save = async () => {
    if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  }
  const machines = await world.openMachines([found], { ...stores, save })
  await expect.poll(() => machines.list()).toHaveLength(1)
  await expect(machines.put(desired, WAIT_MS)).rejects.toMatchObject({ code: 'ENOSPC' })
  expect(machines.list()).toMatchObject([{ id: MACHINE_ID, pid: found.pid }])
  isFull = false
  expect(await machines.put(desired, WAIT_MS)).toMatchObject({ state: 'Running', pid: found.pid })
})

test('Guest of a machine that an old record says is forgotten is left alone until there is an order', async () => {
  await using world = await newWorld()
  const found = await world.startFound()
  const absent = newDesired({ id: MACHINE_ID, power: 'Absent' })
  const buried = newRecord({ desired: absent, buriedAt: new Date().toISOString() })
  const machines = await world.openMachines([found], { ...stores, loadAll: async () => [buried] })
  machines.begin()
  await expect.poll(() => machines.list()).toMatchObject([{ pid: found.pid, problem: { code: 'OrderMissing' } }])
  const order = decidedAnew(absent, { power: 'Running' })
  expect(await machines.put(order, WAIT_MS)).toMatchObject({ state: 'Running', pid: found.pid })
  expect(world.children).toHaveLength(1)
})

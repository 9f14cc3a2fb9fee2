import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { AgentError } from '../errors.ts'
import { succeed, type Script } from '../qmp/testing.ts'
import { afterAbsence } from './ending.ts'
import type { MachineRecord } from './record.ts'
import { newMachineWorld as newWorld } from './testing-machine.ts'
import { decidedAnew, newDesired } from './testing.ts'

const WAIT_MS = 10_000
const disk = { id: randomUUID(), storage: 'fast' }

const desired = newDesired({ disks: [disk], restart: 'Never' })

test('Machine that is refused its disks says so until it gets them', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  world.refuse(new AgentError('DISK_CLAIMED', 'by another'))
  await machine.order(desired)
  await expect(machine.converged(WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
  expect(machine.observed()).toMatchObject({ state: 'Stopped', problem: { code: 'DISK_CLAIMED' } })
  await machine.order(desired)
  await expect(machine.converged(WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
  world.refuse(undefined)
  await machine.order(desired)
  const running = await machine.converged(WAIT_MS)
  expect(running.state).toBe('Running')
  expect(running).not.toHaveProperty('problem')
})

test('Machine that no longer wants what was refused is as ordered', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  await machine.order(desired)
  await machine.converged(WAIT_MS)
  world.refuse(new AgentError('DISK_NOT_FOUND', 'its file is gone'))
  const lost = { id: randomUUID(), storage: 'fast' }
  await machine.order({ ...desired, disks: [disk, lost] })
  await expect(machine.converged(WAIT_MS)).rejects.toMatchObject({ code: 'DISK_NOT_FOUND' })
  await machine.order({ ...desired, detach: [lost.id] })
  const running = await machine.converged(WAIT_MS)
  expect(running.state).toBe('Running')
  expect(running).not.toHaveProperty('problem')
})

test('Machine that is to be started again with a disk that it is refused runs on until it gets that', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  await machine.order(desired)
  const { pid } = await machine.converged(WAIT_MS)
  world.refuse(new AgentError('DISK_CLAIMED', 'by another'))
  const more = { id: randomUUID(), storage: 'fast' }
  const again = decidedAnew(desired, { once: 'Restart', disks: [disk, more], gracePeriodSeconds: 0 })
  await machine.order(again)
  await expect(machine.converged(WAIT_MS)).rejects.toMatchObject({ code: 'DISK_CLAIMED' })
  expect(machine.observed()).toMatchObject({ state: 'Running', pid, problem: { code: 'DISK_CLAIMED' } })
  world.refuse(undefined)
  await machine.order(again)
  await expect.poll(() => machine.observed().state).toBe('Stopping')
})

test('Machine that was decided anew does not bear what was refused to the last decision', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  const gate = world.stopAt('claim')
  world.refuse(new AgentError('DISK_CLAIMED', 'by another'))
  await machine.order(desired)
  await gate.reached
  const stop = decidedAnew(desired, { power: 'Stopped' })
  await machine.order(stop)
  gate.open()
  await machine.order(stop)
  const stopped = await machine.converged(WAIT_MS)
  expect(stopped.state).toBe('Stopped')
  expect(stopped).not.toHaveProperty('problem')
})

test('Machine that is wanted again while it is forgotten is not forgotten, and keeps its user', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  await machine.order(desired)
  await machine.converged(WAIT_MS)
  const { uid } = machine.record.current
  const absent = decidedAnew(desired, { power: 'Absent', gracePeriodSeconds: 0 })
  const gate = world.stopAt('release')
  await machine.order(absent)
  await world.killLast()
  await gate.reached
  await machine.order(decidedAnew(absent, { power: 'Running' }))
  gate.open()
  await expect.poll(() => machine.observed().state, { timeout: 5000 }).toBe('Running')
  expect(machine.record.current).toMatchObject({ uid, claims: [disk] })
  expect(machine.record.current).not.toHaveProperty('buriedAt')
})

test('Machine that is forgotten when its start has failed holds no claim afterwards', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  const [preparing, claiming] = [world.stopAt('prepare'), world.stopAt('claim')]
  await machine.order(desired)
  await Promise.all([preparing.reached, claiming.reached])
  preparing.fail(new Error('the run folder cannot be made'))
  await machine.order(decidedAnew(desired, { power: 'Absent', gracePeriodSeconds: 0 }))
  await sleep(10)
  claiming.open()
  await expect.poll(() => machine.record.current.buriedAt).toBeDefined()
  expect([...world.claimed]).toEqual([])
})

test('Machine that ends while it is decided anew starts again, also under Never', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  await machine.order(desired)
  const { pid } = await machine.converged(WAIT_MS)
  await expect.poll(() => machine.record.current.launch?.confirmed).toBe(true)
  const gate = world.stopAt('save')
  const ordered = machine.order(decidedAnew(desired, {}))
  await gate.reached
  await world.killLast()
  gate.open()
  await ordered
  await expect.poll(() => machine.observed().state === 'Running' && machine.observed().pid !== pid).toBe(true)
  expect(machine.record.current).not.toHaveProperty('ended')
})

test('Machine that is changed while it is launched says what it was not started with', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  const gate = world.stopAt('launch')
  await machine.order(desired)
  await gate.reached
  await machine.order({ ...desired, cpus: 4 })
  gate.open()
  expect(await machine.converged(WAIT_MS)).toMatchObject({ state: 'Running', pendingRestart: ['cpus'] })
})

test('Machine that gets a disk while another is given back still knows that it has it', async () => {
  await using world = await newWorld()
  const [old, more] = [disk, { id: randomUUID(), storage: 'fast' }]
  const off = newDesired({ power: 'Stopped' })
  const machine = world.newMachine(off)
  await machine.order(off)
  const on = decidedAnew(off, { power: 'Running', disks: [old] })
  await machine.order(on)
  await machine.converged(WAIT_MS)
  const without = decidedAnew(on, { power: 'Stopped', disks: [], gracePeriodSeconds: 0 })
  const gate = world.stopAt('release')
  await machine.order(without)
  await world.killLast()
  await gate.reached
  await machine.order(decidedAnew(without, { power: 'Running', disks: [more] }))
  gate.open()
  await expect.poll(() => machine.observed().state, { timeout: 5000 }).toBe('Running')
  expect(machine.record.current.claims).toEqual([more])
})

test('Machine that is off is as ordered only when it has given back what it is to have no longer', async () => {
  await using world = await newWorld()
  const machine = world.newMachine(desired)
  await machine.order(desired)
  await machine.converged(WAIT_MS)
  const without = decidedAnew(desired, { power: 'Stopped', disks: [], gracePeriodSeconds: 0 })
  const gate = world.stopAt('release')
  await machine.order(without)
  await world.killLast()
  await gate.reached
  let isAnswered = false
  const converged = machine.converged(WAIT_MS).finally(() => (isAnswered = true))
  await sleep(10)
  expect([machine.observed().state, isAnswered]).toEqual(['Stopped', false])
  gate.open()
  await converged
  expect(machine.record.current.claims).toEqual([])
})

/** What is stored when a monitor is told something: what the next agent knows if this one dies then. */
async function newShutdownWorld() {
  let [status, read] = ['running', (): MachineRecord | undefined => undefined]
  const stored = new Map<string, MachineRecord | undefined>()
  const script: Script = (asked, wire) => {
    stored.set(asked.execute, read())
    if (asked.execute === 'query-status') wire.write({ id: asked.id, return: { status } })
    else succeed(asked, wire)
    if (asked.execute !== 'quit') return
    world.children.at(-1)?.kill('SIGKILL')
    status = 'running' // Of the next process.
  }
  const world = await newWorld(script)
  const machine = world.newMachine(desired)
  read = () => machine.record.current
  await machine.order(desired)
  await machine.converged(WAIT_MS)
  const shutDown = () => {
    status = 'shutdown'
    world.qemu.wires.at(-1)?.write({ event: 'SHUTDOWN' })
  }
  return { machine, stored, shutDown, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

test('Guest that shut itself down is known to have done so before its process is ended', async () => {
  await using world = await newShutdownWorld()
  world.shutDown()
  await expect.poll(() => world.machine.record.current.ended).toBe('GuestShutdown')
  const record = world.stored.get('quit')
  expect(record && afterAbsence(record, 'boot-1', new Date())).toMatchObject({ ended: 'GuestShutdown' })
})

test('Guest that obeys the power button late, when it is wanted again, starts again; the press is known before it', async () => {
  await using world = await newShutdownWorld()
  const { machine } = world
  const { pid } = machine.observed()
  const stop = decidedAnew(desired, { power: 'Stopped', gracePeriodSeconds: 60 })
  await machine.order(stop)
  await expect.poll(() => world.stored.get('system_powerdown')?.launch?.pressed).toBe(true)
  await machine.order(decidedAnew(stop, { power: 'Running' }))
  world.shutDown()
  await expect.poll(() => world.stored.get('quit')?.launch?.end?.how).toBe('Ordered')
  await expect.poll(() => machine.observed().pid !== pid && !machine.isOff).toBe(true)
  expect(machine.record.current).not.toHaveProperty('ended')
})

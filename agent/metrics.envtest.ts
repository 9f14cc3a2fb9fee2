import { once } from 'node:events'
import { request } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { decidedAnew } from './machine/testing.ts'
import { addressOf, bootGuest, eventually, newAgentWorld, typeInto, type AgentWorld } from './testing.ts'

const limit = { timeout: 240_000 }
const READER = 'holdfast-metrics'

/** Asks an agent as Prometheus would. */
async function get({ authority }: AgentWorld, port: number, path: string): Promise<{ status: number; text: string }> {
  const { tls, address: host, hostName: servername } = await addressOf(authority, port, READER)
  const { ca, certificate: cert, key } = tls
  const asked = request({ host, port, path, ca, cert, key, servername, agent: false })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const chunks = await response.setEncoding('utf8').toArray()
  return { status: response.statusCode ?? 0, text: chunks.join('') }
}

/** The value of the only series of a metric; undefined when there is none. */
function valueOf(text: string, metric: string): number | undefined {
  const value = new RegExp(String.raw`^${metric}(?:\{.*\})? (\S+)$`, 'm').exec(text)?.[1]
  return value === undefined ? undefined : Number(value)
}

test('Machine that runs has metrics, which grow as its guest works, and end with it', limit, async () => {
  await using world = await newAgentWorld()
  const { agent, port } = await world.start()
  const { machine } = await bootGuest(world, agent)
  const scrape = async () => (await get(world, port, '/metrics')).text

  const first = await scrape()
  const disk = `namespace="default",name="test",drive="${machine.disks[0]?.id}"`
  expect(first).toContain(`holdfast_vm_storage_read_traffic_bytes_total{host="host-1",${disk}} `)
  expect(valueOf(first, 'holdfast_vm_storage_read_traffic_bytes_total')).toBeGreaterThan(2 ** 20)
  expect(valueOf(first, 'holdfast_vm_up')).toBe(1)
  expect(valueOf(first, 'holdfast_vm_memory_configured_bytes')).toBe(machine.memoryBytes)
  expect(valueOf(first, 'holdfast_vm_memory_resident_bytes')).toBeGreaterThan(32 * 2 ** 20)
  expect(valueOf(first, 'holdfast_storage_usable')).toBe(1)
  expect(valueOf(first, 'holdfast_storage_available_bytes')).toBeGreaterThan(0)
  const [cpu, written] = ['holdfast_vm_cpu_usage_seconds_total', 'holdfast_vm_storage_write_traffic_bytes_total']
  const [cpuBefore = 0, writtenBefore = 0] = [valueOf(first, cpu), valueOf(first, written)]
  expect(cpuBefore).toBeGreaterThan(0)

  await typeInto(world.pathsOf(machine.id), 'echo written > /written; sync; while :; do :; done\n')
  let last = first
  await eventually('the guest has used a second more', async () => {
    last = await scrape()
    return (valueOf(last, cpu) ?? 0) > cpuBefore + 1
  })
  expect(valueOf(last, written)).toBeGreaterThanOrEqual(writtenBefore)

  await agent.putMachine(decidedAnew(machine, { power: 'Absent', gracePeriodSeconds: 0 }), 30_000)
  await eventually('its series have ended', async () => !(await scrape()).includes('holdfast_vm_up{'))
})

test('Reader of metrics is told nothing else, and orders nothing', limit, async () => {
  await using world = await newAgentWorld()
  const { port } = await world.start()
  expect(await get(world, port, '/metrics')).toMatchObject({
    status: 200,
    text: expect.stringContaining('holdfast_host_cpus{host="host-1"}'),
  })
  for (const path of ['/v1/host', '/v1/machines', '/v1/events']) {
    expect(await get(world, port, path)).toMatchObject({ status: 403 })
  }
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { machine } from './testing/manifests.ts'
import { metricsAddresses, readMetrics } from './testing/metrics.ts'
import { eventually, isReady, newPlatform, qemus, type Platform, type Result } from './testing/platform.ts'

const HOSTS = 5
const MACHINES = 40

describe('npm start -- --simulated-hosts', () => {
  let platform: Platform
  let started: Result

  beforeAll(async () => {
    platform = await newPlatform()
    started = await platform.start('--simulated-hosts', String(HOSTS), '--start-delay', '200')
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  test('has that many hosts, no machine and no QEMU', async () => {
    expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining(`${HOSTS} simulated hosts`) })
    const hosts = await platform.list('hosts')
    expect(hosts.map(isReady)).toEqual(Array.from({ length: HOSTS }, () => true))
    expect(await platform.list('virtualmachines')).toEqual([])
  })

  test('runs machines in name, spread over the hosts', async () => {
    await platform.apply(...Array.from({ length: MACHINES }, (_, index) => machine(`vm-${index}`)))
    await eventually(async () => (await platform.list('virtualmachines')).filter(isReady).length === MACHINES)
    const machines = await platform.list('virtualmachines')
    expect(new Set(machines.map(({ status }) => status?.host)).size).toBe(HOSTS)
    expect(machines.map(({ status }) => status?.printableStatus)).toEqual(machines.map(() => 'Running'))
    expect(await qemus(platform)).toEqual([])
  })

  test('tells what it does to whoever has the certificate for that, and to nobody else', async () => {
    const addresses = await metricsAddresses(platform)
    const [controllers = '', host = ''] = [addresses.get('controllers'), addresses.get('simulated-1')]
    const { text } = await readMetrics(platform, controllers)
    expect(text).toContain(`holdfast_virtual_machines{status="Running"} ${MACHINES}\n`)
    expect(text).toContain(`holdfast_hosts{state="Ready"} ${HOSTS}\n`)
    expect(text).toContain('leader_election_master_status{name="holdfast-controllers"} 1\n')
    for (const counter of [
      'controller_runtime_reconcile_total{controller="virtualmachine",result="success"}',
      'workqueue_adds_total{name="virtualmachine"}',
      'rest_client_requests_total{code="200",method="PATCH"}',
      'holdfast_api_writes_total{resource="virtualmachines",subresource="status",verb="APPLY"}',
      'holdfast_agent_requests_total{host="simulated-1",outcome="OK"}',
      'reflector_lists_total{name="virtualmachines"}',
    ]) {
      expect(Number(text.split(`${counter} `)[1]?.split('\n')[0])).toBeGreaterThan(0)
    }

    const ofHost = await readMetrics(platform, host)
    const running = ofHost.text.match(/^holdfast_vm_up\{host="simulated-1",.*\} 1$/gm) ?? []
    expect(running.length).toBeGreaterThan(0)
    expect(await readMetrics(platform, host.replace('/metrics', '/v1/machines'))).toMatchObject({ status: 403 })
    expect(await readMetrics(platform, controllers, 'holdfast-controllers')).toMatchObject({ status: 403 })
  })

  test('forgets machines that are deleted', async () => {
    await platform.kubectl('delete', 'hfvm', '--all', '--wait=false')
    await eventually(async () => (await platform.list('virtualmachines')).length === 0)
    await eventually(async () => (await platform.list('disks')).length === 0)
    expect(await platform.list('disks')).toEqual([])
  })

  test('is another platform than one with real hosts, which is not started on top of it', async () => {
    expect((await platform.local('stop')).code).toBe(0)
    const real = await platform.start()
    expect(real).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('--simulated-hosts NUMBER, or set HOLDFAST_HOME'),
    })
  })

  test.each([
    [['--simulated-hosts', '0'], '--simulated-hosts 0 is not possible: write a number from 1 to 500'],
    [['--start-delay', '5'], 'name their number with --simulated-hosts too'],
  ])('refuses %j', async (options, message) => {
    expect(await platform.start(...options)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
  })
})

import { describe, expect, test } from 'vitest'
import { machine } from './testing/manifests.ts'
import { metricsAddresses, readMetrics } from './testing/metrics.ts'
import { eventually, isReady, qemus, type Platform } from './testing/platform.ts'

const MACHINES = 40

/** What machines do on that many simulated hosts. Wants a platform that was just started. */
export function describeSimulatedHosts(platform: Platform, hostCount: number): void {
  describe('npm start -- --simulated-hosts', () => {
    test('has that many hosts, no machine and no QEMU', async () => {
      const hosts = await platform.list('hosts')
      expect(hosts.map(isReady)).toEqual(Array.from({ length: hostCount }, () => true))
      expect(await platform.list('virtualmachines')).toEqual([])
    })

    test('runs machines in name, spread over the hosts', async () => {
      await platform.apply(...Array.from({ length: MACHINES }, (_, index) => machine(`vm-${index}`)))
      await eventually(async () => (await platform.list('virtualmachines')).filter(isReady).length === MACHINES)
      const machines = await platform.list('virtualmachines')
      expect(new Set(machines.map(({ status }) => status?.host)).size).toBe(hostCount)
      expect(machines.map(({ status }) => status?.printableStatus)).toEqual(machines.map(() => 'Running'))
      expect(await qemus(platform)).toEqual([])
    })

    test('tells what it does to whoever has the certificate for that, and to nobody else', async () => {
      const addresses = await metricsAddresses(platform)
      const [controllers = '', host = ''] = [addresses.get('controllers'), addresses.get('simulated-1')]
      const { text } = await readMetrics(platform, controllers)
      expect(text).toContain(`holdfast_virtual_machines{status="Running"} ${MACHINES}\n`)
      expect(text).toContain(`holdfast_hosts{state="Ready"} ${hostCount}\n`)
      expect(text).toContain('leader_election_master_status{name="holdfast-controllers"} 1\n')
      for (const counter of [
        'controller_runtime_reconcile_total{controller="virtualmachine",result="success"}',
        'workqueue_adds_total{name="virtualmachine"}',
        'rest_client_requests_total{code="200",method="PUT"}',
        'holdfast_api_writes_total{resource="virtualmachines",subresource="status",verb="PUT"}',
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
  })
}

import { expect, test } from 'vitest'
import { brakeRecords, toBrakeData, type BrakeConfigMap } from '../crds/brake-record.ts'
import { binnedDisk, condition, entry, host, machine, meta, platformSettings } from '../crds/testing/objects.ts'
import type { Host } from '../crds/host.ts'
import { newCaches } from './cluster/caches.ts'
import { newControllersMetrics } from './metrics.ts'

function withStatus(object: Host, status: NonNullable<Host['status']>): Host {
  return { ...object, status }
}

/** Scrapes what is said of the cluster and its hosts. */
function newWorld() {
  const world = newControllersMetrics()
  const caches = newCaches()
  world.follow(caches, () => new Date('2026-01-01T00:00:00Z'))
  const scrape = async () => {
    const text = await world.metrics.render()
    return text
      .split('\n')
      .filter((line) => /^holdfast_(objects|virtual_machines|hosts?|agent|recycled|delete)/.test(line))
  }
  return { ...world, caches, scrape }
}

test('The cluster is described by what is in it: machines by status, hosts by why they are not Ready', async () => {
  const { caches, scrape } = newWorld()
  const [a, b] = [machine(), machine()]
  const machines = [
    { ...a, metadata: { ...a.metadata, name: 'a', uid: 'a' }, status: { printableStatus: 'Running' } },
    { ...b, metadata: { ...b.metadata, name: 'b', uid: 'b' }, status: {} },
  ]
  caches.virtualMachines.replace(machines, '99')
  const unreachable = condition({ type: 'Ready', status: 'False', reason: 'HostUnreachable' })
  const ready = condition({ type: 'Ready', status: 'True', reason: 'Ready' })
  caches.hosts.replace(
    [
      withStatus(host('host-1'), { conditions: [ready], orphanCount: 3 }),
      withStatus(host('host-2'), { conditions: [unreachable] }),
    ],
    '99',
  )
  expect(await scrape()).toEqual(
    expect.arrayContaining([
      'holdfast_objects{kind="VirtualMachine"} 2',
      'holdfast_virtual_machines{status="Running"} 1',
      'holdfast_virtual_machines{status="Provisioning"} 1',
      'holdfast_virtual_machines{status="CrashLoopBackOff"} 0',
      'holdfast_hosts{state="Ready"} 1',
      'holdfast_hosts{state="HostUnreachable"} 1',
      'holdfast_host_ready{host="host-1"} 1',
      'holdfast_host_ready{host="host-2"} 0',
      'holdfast_host_orphans{host="host-1"} 3',
      'holdfast_host_orphans{host="host-2"} 0',
    ]),
  )
})

test('[DEL-06] The recycle bin is described by what is in it, with the sizes of its disks', async () => {
  const { caches, scrape } = newWorld()
  const pending = { ...entry('Disk', 'late', { disks: [binnedDisk('late')] }), status: {} }
  caches.recycled.replace(
    [
      entry('VirtualMachine', 'web', { disks: [binnedDisk('web-root', { size: '20Gi' }), binnedDisk('web-log')] }),
      entry('Disk', 'data', { disks: [binnedDisk('data', { size: '512Mi' })] }),
      entry('Image', 'debian', { download: { sha256: 'a'.repeat(64), hosts: ['host-a'] } }),
      pending,
    ],
    '99',
  )
  expect((await scrape()).toSorted()).toEqual([
    `holdfast_recycled_bytes{kind="Disk"} ${1.5 * 2 ** 30}`,
    `holdfast_recycled_bytes{kind="VirtualMachine"} ${21 * 2 ** 30}`,
    'holdfast_recycled_resources{kind="Disk",phase="Binned"} 1',
    'holdfast_recycled_resources{kind="Disk",phase="Pending"} 1',
    'holdfast_recycled_resources{kind="Image",phase="Binned"} 1',
    'holdfast_recycled_resources{kind="VirtualMachine",phase="Binned"} 1',
  ])
})

test('[DEL-18] Brakes that hold are counted by kind, released ones and names of persons are not told', async () => {
  const { caches, scrape } = newWorld()
  const latched = (person: string, kind: string): BrakeConfigMap => {
    const times = { latchedAt: '2025-12-31T23:50:00Z', lastAttemptAt: '2025-12-31T23:55:00Z' }
    const metadata = meta(`brake-${person}`, { namespace: brakeRecords.namespace })
    return { metadata, data: toBrakeData({ person, kind, state: { deletes: [], ...times } }) }
  }
  caches.platformSettings.replace([], '99')
  caches.brakes.replace([latched('ann', 'Disk'), latched('bob', 'Disk'), latched('carol', 'Image')], '99')
  expect(await scrape()).toEqual([
    'holdfast_delete_brakes{kind="VirtualMachine"} 0',
    'holdfast_delete_brakes{kind="Host"} 0',
    'holdfast_delete_brakes{kind="Disk"} 2',
    'holdfast_delete_brakes{kind="Image"} 1',
    'holdfast_delete_brakes{kind="DataStorage"} 0',
    'holdfast_delete_brakes{kind="RecycledResource"} 0',
  ])
  const settings = platformSettings()
  settings.spec.deletion.brakeReleases = [{ person: 'ann', kind: 'Disk', until: '2026-01-01T01:00:00Z' }]
  caches.platformSettings.put(settings)
  expect(await scrape()).toContain('holdfast_delete_brakes{kind="Disk"} 1')
})

test('Nothing is said of what is not known yet', async () => {
  const { caches, scrape } = newWorld()
  caches.virtualMachines.put(machine())
  expect(await scrape()).toEqual([])
})

test('Calls of a host are counted by outcome, and forgotten with the host', async () => {
  const { caches, calls, scrape } = newWorld()
  const called = calls('host-1')
  called('OK', 20)
  called('OK', 20)
  called('UNREACHABLE', 5000)
  caches.hosts.replace([host('host-1')], '99')
  const ofAgent = async () => (await scrape()).filter((line) => line.startsWith('holdfast_agent'))
  expect(await ofAgent()).toEqual(
    expect.arrayContaining([
      'holdfast_agent_requests_total{host="host-1",outcome="OK"} 2',
      'holdfast_agent_requests_total{host="host-1",outcome="UNREACHABLE"} 1',
      'holdfast_agent_request_duration_seconds_count{host="host-1"} 3',
    ]),
  )
  caches.hosts.replace([], '100')
  expect(await ofAgent()).toEqual([])
  called('OK', 1)
  const again = host('host-1')
  caches.hosts.replace([{ ...again, metadata: { ...again.metadata, uid: 'again', resourceVersion: '101' } }], '101')
  expect(await ofAgent()).toContain('holdfast_agent_requests_total{host="host-1",outcome="OK"} 1')
})

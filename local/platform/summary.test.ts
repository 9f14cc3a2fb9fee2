import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Condition } from '../../crds/common.ts'
import type { Host } from '../../crds/host.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { condition, host, machine } from '../../crds/testing/objects.ts'
import { homeAt, serialFolder } from '../home.ts'
import { findSerialLog } from './serial-log.ts'
import { summary } from './summary.ts'

const options = { serialLog: undefined, kubectl: 'kubectl', kubeconfig: '/k', detached: true }
const hostThatIs = (name: string, more: Partial<Condition>): Host => ({
  ...host(name),
  status: { accelerator: 'TCG', conditions: [condition({ observedGeneration: 1, ...more })] },
})
const ready = hostThatIs('host-1', {})
const away = hostThatIs('host-2', { status: 'False', reason: 'Unreachable', message: 'its agent does not answer' })

test('the summary names hosts that are Ready as those it runs on, and says what is wrong with the others', () => {
  const text = summary({ hosts: [ready, away, host('host-3')], storages: [], machines: [] }, options)
  expect(text).toContain('Holdfast runs on host-1 (TCG).\n')
  expect(text).toContain('  Host host-2: not ready: its agent does not answer\n  Host host-3: not ready\n')
})

test('the summary says so where no host is Ready', () => {
  const text = summary({ hosts: [away], storages: [], machines: [] }, options)
  expect(text).toContain('Holdfast runs, and no Host is ready.\n')
})

test('the summary shows how to follow a console where there is one, and else leaves the line out', () => {
  const inventory = { hosts: [ready], storages: [], machines: [] }
  expect(summary(inventory, { ...options, serialLog: '/s/a.log' })).toContain('  tail -f /s/a.log\n')
  expect(summary(inventory, options)).not.toContain('tail')
})

test('the console that is shown is one of a machine that has printed, and rather of one that runs', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hf-summary-'))
  try {
    const home = homeAt(root, {})
    const vm = (machineId: string, printableStatus: 'Running' | 'Halted'): VirtualMachine => ({
      ...machine(),
      status: { machineId, printableStatus },
    })
    const machines = [vm('never-started', 'Running'), vm('halted', 'Halted'), vm('runs', 'Running'), machine()]
    expect(findSerialLog(home, machines)).toBeUndefined()
    await mkdir(serialFolder(home), { recursive: true })
    const log = (id: string) => join(serialFolder(home), `${id}.log`)
    await writeFile(log('halted'), '')
    expect(findSerialLog(home, machines)).toBe(log('halted'))
    await writeFile(log('runs'), '')
    expect(findSerialLog(home, machines)).toBe(log('runs'))
  } finally {
    await rm(root, { recursive: true })
  }
})

test('Commands to try work as they are printed, whatever the folder is called', () => {
  const home = "/var/lib/it's mine"
  const paths = { serialLog: `${home}/a.log`, kubectl: '/bin/kubectl', kubeconfig: `${home}/kubeconfig` }
  const text = summary({ hosts: [], machines: [], storages: [] }, { ...options, ...paths })
  expect(text).toContain(String.raw`  export KUBECONFIG='/var/lib/it'\''s mine/kubeconfig'`)
  expect(text).toContain(String.raw`  tail -f '/var/lib/it'\''s mine/a.log'`)
  expect(text).toContain('  /bin/kubectl get hfvm')
})

test('Of many hosts and machines the summary shows the first, and how to see the rest', () => {
  const hosts = Array.from({ length: 50 }, (_, index) => hostThatIs(`host-${index + 1}`, {}))
  const machines = Array.from({ length: 883 }, (_, index) => machine({}, { name: `vm-${index}` }))
  const lines = summary({ hosts, storages: [], machines }, options).split('\n')
  expect(lines).toContain('Holdfast runs on host-1 (TCG), host-2 (TCG), host-3 (TCG), host-4 (TCG), and 46 more.')
  expect(lines.filter((line) => line.startsWith('  VirtualMachine '))).toHaveLength(10)
  expect(lines).toContain('  and 873 more; kubectl get hfvm -A')
})

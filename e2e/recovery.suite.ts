import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { machine, platformSettings, withMetadata } from './testing/manifests.ts'
import { condition, eventually, isReady, type Found, type Platform } from './testing/platform.ts'

const SLOW_MS = 120_000

/** Undo from Git. */
export function describeRecovery(platform: Platform): void {
  describe('A manifest that is applied again', () => {
    afterAll(async () => platform.clear(), 120_000)

    const binned = async (name: string) =>
      eventually(async () => {
        const entries = await platform.list('recycledresources')
        const entry = entries.find(({ spec }) => (spec as { resource: { name: string } }).resource.name === name)
        return entry?.status?.['phase'] === 'Binned' && condition(entry)?.status === 'True' && entry
      })
    const ready = async (name: string) =>
      eventually(async () => {
        const vm = await platform.get('virtualmachines', name)
        return isReady(vm) && vm
      }, SLOW_MS)
    const identity = ({ status }: Found) => ({ machineId: status?.machineId, networks: status?.['networks'] })
    const fileOf = async (vm: string) => (await platform.get('disks', `${vm}-root`))?.status?.id
    const written = (name: string, metadata: object = {}) => JSON.stringify(withMetadata(machine(name), metadata))
    /** The guest counts its boots on its disk. */
    const booted = async (vm: string, times: number) =>
      eventually(async () => (await platform.serialLog(vm)).includes(`holdfast-guest: boots ${times}\r\n`), SLOW_MS)

    test('[DEL-16] with holdfast.dev/recover brings the guest back with its disk, identity and address', async () => {
      await platform.tryApply(written('undone'))
      const before = await ready('undone')
      const file = await fileOf('undone')
      await booted('undone', 1)
      await platform.kubectl('delete', 'hfvm', 'undone', '--timeout=90s')
      const entry = await binned('undone')

      const asking = written('undone', { annotations: { 'holdfast.dev/recover': entry.metadata.name } })
      const dry = await platform.tryApply(asking, '--dry-run=server')
      expect(dry.stderr).toContain('is brought back from the recycle bin')
      expect((await binned('undone')).metadata.resourceVersion).toBe(entry.metadata.resourceVersion)

      expect(await platform.tryApply(asking)).toMatchObject({
        code: 0,
        stderr: expect.stringContaining('brought back'),
      })
      const after = await ready('undone')
      expect([identity(after), await fileOf('undone')]).toEqual([identity(before), file])
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      await booted('undone', 2)
      await eventually(async () => !(await platform.get('recycledresources', entry.metadata.name)))
      const disks = (await readdir(join(platform.home, 'storage', 'disks'))).filter((name) => name.endsWith('.qcow2'))
      expect(disks).toContain(`${file}.qcow2`)
      expect((await platform.tryApply(asking)).stdout).toContain('unchanged')
    })

    test('[DEL-16] brings back what a prune took, where the settings say Restore', async () => {
      const labels = { set: 'git' }
      const prune = ['--prune', '--selector=set=git', '--prune-allowlist=compute.holdfast.dev/v1alpha1/VirtualMachine']
      await platform.apply(platformSettings({ deletion: { onNameReuse: 'Restore' } }))
      const both = [written('kept', { labels }), written('lost', { labels })].join('\n')
      await platform.tryApply(both, ...prune)
      const before = await ready('lost')
      const file = await fileOf('lost')
      await booted('lost', 1)
      await platform.tryApply(written('kept', { labels }), ...prune)
      await binned('lost')
      await eventually(async () => !(await platform.get('virtualmachines', 'lost')))

      const reverted = await platform.tryApply(both, ...prune)
      expect(reverted).toMatchObject({ code: 0, stderr: expect.stringContaining('brought back') })
      const after = await ready('lost')
      expect([identity(after), await fileOf('lost')]).toEqual([identity(before), file])
      await booted('lost', 2)
      expect((await platform.tryApply(both, ...prune)).stdout).toMatch(/kept unchanged\n.+lost unchanged/)
    })

    test('[DEL-16] after a recovery through the entry is unchanged, and has no conflict on the server side', async () => {
      await platform.tryApply(written('patched'))
      const before = await ready('patched')
      await platform.kubectl('delete', 'hfvm', 'patched', '--timeout=90s')
      const { metadata } = await binned('patched')
      await platform.kubectl(
        'patch',
        'recycled',
        metadata.name,
        '--type=merge',
        '--patch={"spec":{"action":"Recover"}}',
      )
      expect(identity(await ready('patched'))).toEqual(identity(before))
      expect((await platform.tryApply(written('patched'))).stdout).toContain('unchanged')
      const other = JSON.stringify(machine('patched', { terminationGracePeriodSeconds: 6 }))
      const another = await platform.tryApply(other, '--server-side', '--field-manager=another')
      expect(another).toMatchObject({ code: 0, stderr: '' })
    })
  })
}

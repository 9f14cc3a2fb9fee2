import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { machine, platformSettings, withMetadata } from './testing/manifests.ts'
import { eventually, type Found, type Platform } from './testing/platform.ts'
import { act, binned } from './testing/recycle-bin.ts'

/** Undo from Git. */
export function describeRecovery(platform: Platform): void {
  describe('A manifest that is applied again', () => {
    afterAll(async () => platform.clear(), 120_000)

    const identity = ({ status }: Found) => ({ machineId: status?.machineId, networks: status?.['networks'] })
    const fileOf = async (vm: string) => (await platform.get('disks', `${vm}-root`))?.status?.id
    const written = (name: string, metadata: object = {}) => JSON.stringify(withMetadata(machine(name), metadata))

    test('[DEL-16] with holdfast.dev/recover brings the guest back with its disk, identity and address', async () => {
      await platform.tryApply(written('undone'))
      const before = await platform.ready('virtualmachines', 'undone')
      const file = await fileOf('undone')
      await platform.booted('undone', 1)
      await platform.kubectl('delete', 'hfvm', 'undone', '--timeout=90s')
      const entry = await binned(platform, 'VirtualMachine', 'undone')

      const asking = written('undone', { annotations: { 'holdfast.dev/recover': entry.name } })
      const dry = await platform.tryApply(asking, '--dry-run=server')
      expect(dry.stderr).toContain('is brought back from the recycle bin')
      expect(await binned(platform, 'VirtualMachine', 'undone')).toEqual(entry)

      expect(await platform.tryApply(asking)).toMatchObject({
        code: 0,
        stderr: expect.stringContaining('brought back'),
      })
      const after = await platform.ready('virtualmachines', 'undone')
      expect([identity(after), await fileOf('undone')]).toEqual([identity(before), file])
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      await platform.booted('undone', 2)
      await eventually(async () => !(await platform.get('recycledresources', entry.name)))
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
      const before = await platform.ready('virtualmachines', 'lost')
      const file = await fileOf('lost')
      await platform.booted('lost', 1)
      await platform.tryApply(written('kept', { labels }), ...prune)
      await binned(platform, 'VirtualMachine', 'lost')
      await eventually(async () => !(await platform.get('virtualmachines', 'lost')))

      const reverted = await platform.tryApply(both, ...prune)
      expect(reverted).toMatchObject({ code: 0, stderr: expect.stringContaining('brought back') })
      const after = await platform.ready('virtualmachines', 'lost')
      expect([identity(after), await fileOf('lost')]).toEqual([identity(before), file])
      await platform.booted('lost', 2)
      expect((await platform.tryApply(both, ...prune)).stdout).toMatch(/kept unchanged\n.+lost unchanged/)
    })

    test('[DEL-16] after a recovery through the entry is unchanged, and has no conflict on the server side', async () => {
      await platform.tryApply(written('patched'))
      const before = await platform.ready('virtualmachines', 'patched')
      await platform.kubectl('delete', 'hfvm', 'patched', '--timeout=90s')
      await act(platform, await binned(platform, 'VirtualMachine', 'patched'), { action: 'Recover' })
      expect(identity(await platform.ready('virtualmachines', 'patched'))).toEqual(identity(before))
      expect((await platform.tryApply(written('patched'))).stdout).toContain('unchanged')
      const other = JSON.stringify(machine('patched', { terminationGracePeriodSeconds: 6 }))
      const another = await platform.tryApply(other, '--server-side', '--field-manager=another')
      expect(another).toMatchObject({ code: 0, stderr: '' })
    })
  })
}

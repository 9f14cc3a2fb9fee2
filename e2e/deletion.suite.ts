import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { says } from './testing/guest-console.ts'
import { disk, image, machine, platformSettings } from './testing/manifests.ts'
import { condition, eventually, isReady, qemus, SECTOR, type Found, type Platform } from './testing/platform.ts'

const SLOW_MS = 120_000

/** Delete, look into the bin, bring back. Wants a Linux that has booted once, and an empty bin. */
export function describeDeletion(platform: Platform): void {
  describe('Deleting on a platform', () => {
    afterAll(async () => platform.clear(), 120_000)

    const entriesOf = async (name: string) =>
      (await platform.list('recycledresources')).filter(
        ({ spec }) => (spec as { resource: { name: string } }).resource.name === name,
      )
    const binned = async (name: string) =>
      eventually(async () => {
        const [entry] = await entriesOf(name)
        return entry?.status?.['phase'] === 'Binned' && condition(entry)?.status === 'True' && entry
      })
    const act = async (entry: Found, spec: object) =>
      platform.kubectl('patch', 'recycled', entry.metadata.name, '--type=merge', `--patch=${JSON.stringify({ spec })}`)
    const ready = async (name: string) =>
      eventually(async () => {
        const vm = await platform.get('virtualmachines', name)
        return isReady(vm) && vm
      }, SLOW_MS)
    const files = async () => readdir(join(platform.home, 'storage', 'disks'))

    test('[DEL-04] [DEL-05] [DEL-15] a guest comes back from the bin with its disk, identity and address', async () => {
      await says(platform, 'hello', 'echo pattern-7f3a >/disk/pattern; sync; cat /disk/pattern', 'pattern-7f3a')
      const before = await ready('hello')
      const file = (await platform.get('disks', 'hello-root'))?.status?.id ?? ''
      const deleted = await platform.kubectl('delete', 'hfvm', 'hello', '--timeout=90s')
      expect(deleted).toMatchObject({ code: 0, stderr: expect.stringContaining('until then it can be brought back') })
      const entry = await binned('hello')
      expect(await qemus(platform)).toEqual([])
      expect((await platform.list('disks')).map(({ metadata }) => metadata.name)).not.toContain('hello-root')
      expect(await files()).toContain(`${file}.qcow2`)
      const { stdout } = await platform.kubectl('get', 'recycled')
      expect(stdout).toMatch(/VirtualMachine +default +hello +Delayed +.+Binned/)

      expect(await act(entry, { action: 'Recover' })).toMatchObject({ code: 0 })
      await eventually(async () => (await entriesOf('hello')).length === 0)
      const after = await ready('hello')
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      expect(after.status).toMatchObject({ machineId: before.status?.machineId, networks: before.status?.['networks'] })
      expect((await platform.get('disks', 'hello-root'))?.status?.id).toBe(file)
      await eventually(async () => (await platform.serialLog('hello')).includes('holdfast-guest: boots 2'), SLOW_MS)
      await says(platform, 'hello', 'cat /disk/pattern', 'pattern-7f3a')
      expect((await files()).filter((name) => name.endsWith('.qcow2'))).toEqual([`${file}.qcow2`])
    })

    test('[DEL-14] machines of a namespace that is deleted all come back, and their namespace with them', async () => {
      await platform.kubectl('create', 'namespace', 'shop')
      const names = ['one', 'two']
      const inShop = (name: string) => ({ ...machine(name), metadata: { name, namespace: 'shop' } })
      await platform.apply(
        { ...image('holdfast-guest', SECTOR), metadata: { name: 'holdfast-guest', namespace: 'shop' } },
        ...names.map(inShop),
      )
      const ids = new Map<string, string | undefined>()
      for (const name of names) ids.set(name, (await ready(name)).status?.machineId)
      expect(await platform.kubectl('delete', 'namespace', 'shop', '--timeout=120s')).toMatchObject({ code: 0 })
      for (const name of names) await act(await binned(name), { action: 'Recover' })
      for (const name of names) expect((await ready(name)).status?.machineId).toBe(ids.get(name))
      // The root disks went in the entries of their machines.
      expect((await entriesOf('one-root')).length).toBe(0)
      await eventually(async () => (await Promise.all(names.map(entriesOf))).flat().length === 0)
    })

    test('[DEL-03] a delete under the policy Immediate frees the bytes, and leaves no entry', async () => {
      await platform.apply(disk('scrap', { deletionPolicy: 'Immediate', dataStorage: 'local' }))
      const { status } = await eventually(async () => {
        const found = await platform.get('disks', 'scrap')
        return isReady(found) && found
      })
      expect(await platform.deleteConfirmed('hfdisk', 'scrap')).toMatchObject({ code: 0 })
      await eventually(async () => !(await files()).includes(`${status?.id}.qcow2`))
      await eventually(async () => (await entriesOf('scrap')).length === 0)
    })

    test('[DEL-07] a delayed entry is purged at its time, and not before', async () => {
      const deletion = { disk: { policy: 'Delayed', retention: '10s' } }
      await platform.apply(platformSettings({ deletion }), disk('brief'))
      const { status } = await eventually(async () => {
        const found = await platform.get('disks', 'brief')
        return isReady(found) && found
      })
      await platform.kubectl('delete', 'hfdisk', 'brief', '--grace-period=0', '--force', '--timeout=60s')
      const entry = await binned('brief')
      const { deletion: stamp } = entry['spec'] as { deletion: { purgeAt: string } }
      await eventually(async () => !(await files()).includes(`${status?.id}.qcow2`))
      expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(stamp.purgeAt) - 1_000)
      await eventually(async () => (await entriesOf('brief')).length === 0)
    })
  })
}

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { says } from './testing/guest-console.ts'
import { disk, image, machine, platformSettings } from './testing/manifests.ts'
import { condition, eventually, isReady, qemus, SECTOR, type Platform } from './testing/platform.ts'
import { act, binned, entries } from './testing/recycle-bin.ts'

/** Delete, look into the bin, bring back. Wants a Linux that has booted once, and an empty bin. */
export function describeDeletion(platform: Platform): void {
  describe('Deleting on a platform', () => {
    afterAll(async () => platform.clear(), 120_000)

    const holder = { virtualMachine: 'hello' }
    const files = async () => readdir(join(platform.home, 'storage', 'disks'))

    test('[DEL-04] [DEL-05] [DEL-15] a guest comes back from the bin with its disk, identity and address', async () => {
      await says(platform, 'hello', 'echo pattern-7f3a >/disk/pattern; sync; cat /disk/pattern', 'pattern-7f3a')
      const before = await platform.ready('virtualmachines', 'hello')
      const file = (await platform.get('disks', 'hello-root'))?.status?.id ?? ''
      const deleted = await platform.kubectl('delete', 'hfvm', 'hello', '--timeout=90s')
      expect(deleted).toMatchObject({ code: 0, stderr: expect.stringContaining('until then it can be brought back') })
      const entry = await binned(platform, 'VirtualMachine', 'hello')
      expect(await qemus(platform)).toEqual([])
      expect((await platform.list('disks')).map(({ metadata }) => metadata.name)).not.toContain('hello-root')
      expect(await files()).toContain(`${file}.qcow2`)
      const { stdout } = await platform.kubectl('get', 'recycled')
      expect(stdout).toMatch(/VirtualMachine +default +hello +Delayed +.+Binned/)

      await act(platform, entry, { action: 'Recover' })
      await eventually(async () => (await entries(platform, 'default')).length === 0)
      const after = await platform.ready('virtualmachines', 'hello')
      expect(after.metadata.uid).not.toBe(before.metadata.uid)
      expect(after.status).toMatchObject({ machineId: before.status?.machineId, networks: before.status?.['networks'] })
      expect((await platform.get('disks', 'hello-root'))?.status?.id).toBe(file)
      await platform.booted('hello', 2)
      await says(platform, 'hello', 'cat /disk/pattern', 'pattern-7f3a')
      expect((await files()).filter((name) => name.endsWith('.qcow2'))).toEqual([`${file}.qcow2`])
    })

    test('[DEL-20] a guest comes back with the disk that it takes along; the other one was detached, and stayed', async () => {
      const attach = async (...disks: object[]) => {
        const patch = JSON.stringify({ spec: { disks } })
        await platform.kubectl('patch', 'hfvm', 'hello', '--type=merge', `--patch=${patch}`)
        await eventually(async () => {
          const vm = await platform.get('virtualmachines', 'hello')
          return isReady(vm) && condition(vm, 'SpecApplied')?.status === 'True'
        })
      }
      const own = { diskRef: { name: 'own' }, deleteWithVirtualMachine: true }
      await platform.apply(disk('own', { dataStorage: 'local' }), disk('archive', { dataStorage: 'local' }))
      await attach(own)
      await says(platform, 'hello', 'echo own-5c1d >/dev/vdb; sync; head -c 8 /dev/vdb', 'own-5c1d')
      await attach(own, { diskRef: { name: 'archive' } })
      await says(platform, 'hello', 'echo rest-91e >/dev/vdc; sync; head -c 8 /dev/vdc', 'rest-91e')
      const file = (await platform.get('disks', 'own'))?.status?.id ?? ''
      const alone = await platform.kubectl('delete', 'hfdisk', 'own')
      expect(alone).toMatchObject({ code: 1, stderr: expect.stringContaining('is attached to VirtualMachine') })

      const { stderr } = await platform.kubectl('delete', 'hfvm', 'hello', '--timeout=90s')
      expect(stderr).toContain('1 Disk goes along, as spec.disks says: default/own')
      expect(stderr).toContain('1 Disk is detached and stays: default/archive')
      const entry = await binned(platform, 'VirtualMachine', 'hello')
      expect(entry.contents?.disks).toMatchObject([{ name: 'hello-root' }, { name: 'own', id: file }])
      expect((await entries(platform, 'default')).map(({ name }) => name)).toEqual([entry.name])
      expect(await files()).toContain(`${file}.qcow2`)
      expect((await platform.list('disks', 'default')).map(({ metadata }) => metadata.name)).toEqual(['archive'])
      expect((await platform.get('disks', 'archive'))?.status).not.toHaveProperty('attachedTo')

      // It is off, also when everything comes anew that would start it.
      for (const program of ['agent', 'controllers']) await platform.kill(program)
      await platform.ready('hosts', 'local')
      expect(await qemus(platform)).toEqual([])

      await act(platform, entry, { action: 'Recover' })
      await eventually(async () => (await entries(platform, 'default')).length === 0)
      await platform.ready('virtualmachines', 'hello')
      expect((await platform.get('disks', 'own'))?.status).toMatchObject({ id: file, attachedTo: holder })
      expect((await platform.get('disks', 'archive'))?.status).toMatchObject({ attachedTo: holder })
      await platform.booted('hello', 3)
      await says(platform, 'hello', 'head -c 8 /dev/vdb', 'own-5c1d')
      await says(platform, 'hello', 'head -c 8 /dev/vdc', 'rest-91e')
      await attach()
    }, 600_000)

    describe('A machine that takes a disk along, and not another', () => {
      const disks = [{ diskRef: { name: 'own' }, deleteWithVirtualMachine: true }, { diskRef: { name: 'archive' } }]
      const off = { runStrategy: 'Halted', rootDisk: { imageRef: { name: 'sector' } }, disks }

      /** Makes it. Returns the files of both disks. */
      async function make(deletionPolicy: string): Promise<string[]> {
        const all = [disk('own', { dataStorage: 'local' }), disk('archive', { dataStorage: 'local' })]
        await platform.apply(image('sector', SECTOR), ...all, machine('off', { ...off, deletionPolicy }))
        await platform.ready('virtualmachines', 'off')
        const found = await Promise.all(['own', 'archive'].map(async (name) => platform.get('disks', name)))
        return found.map((one) => `${one?.status?.id}.qcow2`)
      }

      async function expectFreed([own, archive]: string[]): Promise<void> {
        await eventually(async () => (await entries(platform, 'default')).length === 0)
        expect(await files()).not.toContain(own)
        expect(await files()).toContain(archive)
        expect((await platform.list('disks', 'default')).map(({ metadata }) => metadata.name)).not.toContain('own')
      }

      test('[DEL-20] frees that once it is purged', async () => {
        const its = await make('Delayed')
        expect(await platform.kubectl('delete', 'hfvm', 'off', '--timeout=60s')).toMatchObject({ code: 0 })
        const entry = await binned(platform, 'VirtualMachine', 'off')
        expect(await files()).toEqual(expect.arrayContaining(its))
        await act(platform, entry, { action: 'Purge' })
        await expectFreed(its)
      })

      test('[DEL-20] frees that where it is destroyed at once', async () => {
        const its = await make('Immediate')
        expect(await platform.deleteConfirmed('hfvm', 'off')).toMatchObject({ code: 0 })
        await expectFreed(its)
        await platform.kubectl('delete', 'hfdisk', 'archive', '--timeout=60s')
        await act(platform, await binned(platform, 'Disk', 'archive'), { action: 'Purge' })
        await eventually(async () => (await entries(platform, 'default')).length === 0)
      })
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
      for (const name of names) ids.set(name, (await platform.ready('virtualmachines', name)).status?.machineId)
      expect(await platform.kubectl('delete', 'namespace', 'shop', '--timeout=120s')).toMatchObject({ code: 0 })
      for (const name of names) {
        await act(platform, await binned(platform, 'VirtualMachine', name, 'shop'), { action: 'Recover' })
      }
      for (const name of names)
        expect((await platform.ready('virtualmachines', name)).status?.machineId).toBe(ids.get(name))
      // The root disks went in the entries of their machines: what is left is that of the image.
      const left = async () => (await entries(platform, 'shop')).map(({ resource }) => resource.kind)
      await eventually(async () => (await left()).every((kind) => kind === 'Image'))
    })

    test('[DEL-03] a delete under the policy Immediate frees the bytes, and leaves no entry', async () => {
      await platform.apply(disk('scrap', { deletionPolicy: 'Immediate', dataStorage: 'local' }))
      const { status } = await platform.ready('disks', 'scrap')
      expect(await platform.deleteConfirmed('hfdisk', 'scrap')).toMatchObject({ code: 0 })
      await eventually(async () => !(await files()).includes(`${status?.id}.qcow2`))
      await eventually(async () => (await entries(platform, 'default')).length === 0)
    })

    test('[DEL-07] a delayed entry is purged at its time, and not before', async () => {
      const deletion = { disk: { policy: 'Delayed', retention: '10s' } }
      await platform.apply(platformSettings({ deletion }), disk('brief'))
      const { status } = await platform.ready('disks', 'brief')
      await platform.kubectl('delete', 'hfdisk', 'brief', '--grace-period=0', '--force', '--timeout=60s')
      const entry = await binned(platform, 'Disk', 'brief')
      await eventually(async () => !(await files()).includes(`${status?.id}.qcow2`))
      expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(entry.deletion.purgeAt ?? '') - 1_000)
      await eventually(async () => (await entries(platform, 'default')).length === 0)
    })
  })
}

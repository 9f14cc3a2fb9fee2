import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disk, image, machine, platformSettings, withMetadata, type Manifest } from './testing/manifests.ts'
import { condition, eventually, isReady, type Found, type Platform, type Result } from './testing/platform.ts'
import { act, binned, entries } from './testing/recycle-bin.ts'

const VIRTUAL_MACHINES = 'compute.holdfast.dev/v1alpha1/VirtualMachine'
const COLLECTOR = 'system:serviceaccount:kube-system:generic-garbage-collector'

/** Each way to delete. Wants simulated hosts, and kubectl with KUBECTL_APPLYSET. */
export function describeDeletionPaths(platform: Platform): void {
  describe('Each way to delete', () => {
    afterAll(async () => platform.resetSettings())
    beforeAll(async () => {
      await platform.kubectl('create', 'clusterrolebinding', 'ann', '--clusterrole=cluster-admin', '--user=ann')
    })

    const asAnn = async (...args: string[]) => platform.kubectl(...args, '--as=ann')
    const within = (namespace: string, manifest: Manifest, metadata: object = {}) =>
      withMetadata(manifest, { ...metadata, namespace })

    /** Makes a namespace with an image and these manifests, and waits for its machines. */
    async function populate(namespace: string, ...manifests: Manifest[]): Promise<Found[]> {
      await platform.kubectl('create', 'namespace', namespace)
      await platform.apply(within(namespace, image('holdfast-guest', 'guest.qcow2')), ...manifests)
      return machinesOf(namespace, manifests.filter(({ kind }) => kind === 'VirtualMachine').length)
    }

    async function machinesOf(namespace: string, count: number): Promise<Found[]> {
      return eventually(async () => {
        const found = await platform.list('virtualmachines', namespace)
        return found.length === count && found.every(isReady) && found
      })
    }

    const identities = (machines: readonly Found[]) =>
      new Map(machines.map(({ metadata, status }) => [metadata.name, status?.machineId]))

    const filesOf = async (namespace: string) =>
      new Map((await platform.list('disks', namespace)).map(({ metadata, status }) => [metadata.name, status?.id]))

    /** Machines that were deleted are in the bin under that person; and come back as what they were. */
    async function comeBack(namespace: string, deleted: readonly Found[], by: string): Promise<void> {
      for (const { metadata, status } of deleted) {
        const entry = await binned(platform, 'VirtualMachine', metadata.name, namespace)
        expect(entry).toMatchObject({
          name: metadata.uid,
          deletion: { by, policy: 'Delayed', purgeAt: expect.any(String) },
          contents: { machineId: status?.machineId, disks: [{ name: `${metadata.name}-root` }] },
        })
        await act(platform, entry, { action: 'Recover' })
      }
      const uids = deleted.map(({ metadata }) => metadata.uid)
      await eventually(async () => (await entries(platform, namespace)).every(({ name }) => !uids.includes(name)))
      const back = identities(await machinesOf(namespace, (await platform.list('virtualmachines', namespace)).length))
      for (const { metadata, status } of deleted) expect(back.get(metadata.name)).toBe(status?.machineId)
    }

    describe.concurrent('A delete', () => {
      const raw = (namespace: string) => `/apis/compute.holdfast.dev/v1alpha1/namespaces/${namespace}/virtualmachines`

      test.each<[string, (namespace: string) => string[]]>([
        ['at-once', (namespace) => ['hfvm', 'web', '-n', namespace, '--grace-period=0', '--force']],
        ['with-orphans', (namespace) => ['hfvm', 'web', '-n', namespace, '--cascade=orphan']],
        ['in-the-foreground', (namespace) => ['hfvm', 'web', '-n', namespace, '--cascade=foreground']],
        ['without-waiting', (namespace) => ['hfvm', 'web', '-n', namespace, '--wait=false']],
        ['of-all', (namespace) => ['hfvm', '--all', '-n', namespace]],
        ['of-the-collection', (namespace) => [`--raw=${raw(namespace)}`]],
      ])('[DEL-04] [DEL-15] %s goes to the bin, and comes back', async (namespace, options) => {
        const before = await populate(namespace, within(namespace, machine('web')))
        const files = await filesOf(namespace)
        expect(await asAnn('delete', ...options(namespace))).toMatchObject({ code: 0 })
        await comeBack(namespace, before, 'ann')
        expect(await filesOf(namespace)).toEqual(files)
      })

      test('[DEL-14] [DEL-20] of a namespace loses none of five machines and their disks', async () => {
        const names = ['one', 'two', 'three', 'four', 'five']
        const disksOf = (name: string) => ({ disks: [{ diskRef: { name: `${name}-data` } }] })
        const before = await populate(
          'shop',
          ...names.flatMap((name) => [
            within('shop', disk(`${name}-data`)),
            within('shop', machine(name, disksOf(name))),
          ]),
        )
        const files = await filesOf('shop')
        expect(files.size).toBe(10)
        expect(await asAnn('delete', 'namespace', 'shop', '--timeout=120s')).toMatchObject({ code: 0 })

        const data = await Promise.all(names.map((name) => binned(platform, 'Disk', `${name}-data`, 'shop')))
        const base = await binned(platform, 'Image', 'holdfast-guest', 'shop')
        // The root disks went in the entries of their machines, and in no others.
        await eventually(async () => (await entries(platform, 'shop')).length === 11)
        for (const entry of [...data, base]) {
          expect(entry.deletion.by).toBe('ann')
          await act(platform, entry, { action: 'Recover' })
        }
        await comeBack('shop', before, 'ann')
        await eventually(async () => (await entries(platform, 'shop')).length === 0)
        expect(await filesOf('shop')).toEqual(files)
      }, 120_000)

      test('[DEL-14] [DEL-20] of a namespace has the disks in the entries of the machines that take them along', async () => {
        const marked = { disks: [{ diskRef: { name: 'data' }, deleteWithVirtualMachine: true }] }
        const before = await populate('lab', within('lab', disk('data')), within('lab', machine('web', marked)))
        const files = await filesOf('lab')
        const { stderr } = await asAnn('delete', 'namespace', 'lab', '--timeout=120s')
        expect(stderr).toContain('with namespace lab, 1 VirtualMachine and 1 Image are put into the recycle bin')
        const entry = await binned(platform, 'VirtualMachine', 'web', 'lab')
        await eventually(async () => (await entries(platform, 'lab')).length === 2)
        expect(entry).toMatchObject({
          deletion: { by: 'ann' },
          contents: { disks: [{ name: 'web-root' }, { name: 'data', id: files.get('data') }] },
        })
        await act(platform, await binned(platform, 'Image', 'holdfast-guest', 'lab'), { action: 'Recover' })
        await act(platform, entry, { action: 'Recover' })
        await eventually(async () => (await entries(platform, 'lab')).length === 0)
        expect(identities(await machinesOf('lab', 1))).toEqual(identities(before))
        expect(await filesOf('lab')).toEqual(files)
      }, 120_000)

      test('[DEL-16] [DEL-20] that is undone from Git brings both back, the Disk applied first', async () => {
        const restoring = { annotations: { 'holdfast.dev/on-name-reuse': 'Restore' } }
        const marked = { disks: [{ diskRef: { name: 'data' }, deleteWithVirtualMachine: true }] }
        const both = [
          within('reverted', disk('data'), restoring),
          within('reverted', machine('web', marked), restoring),
        ]
        const before = await populate('reverted', ...both)
        const files = await filesOf('reverted')
        expect(await asAnn('delete', 'hfvm', 'web', '-n', 'reverted', '--timeout=60s')).toMatchObject({ code: 0 })
        await binned(platform, 'VirtualMachine', 'web', 'reverted')
        const apply = async (manifest?: Manifest) =>
          platform.tryApply(JSON.stringify(manifest), '--namespace=reverted', '--as=ann')
        expect(await apply(both[0])).toMatchObject({
          code: 0,
          stderr: expect.stringContaining('together with VirtualMachine reverted/web'),
        })
        await eventually(async () => {
          const [found] = await platform.list('disks', 'reverted')
          return condition(found)?.reason === 'Recovering'
        })
        expect(await apply(both[1])).toMatchObject({ code: 0 })
        expect(identities(await machinesOf('reverted', 1))).toEqual(identities(before))
        await eventually(async () => (await entries(platform, 'reverted')).length === 0)
        expect(await filesOf('reverted')).toEqual(files)
      }, 120_000)

      test.each([
        ['pruned', ['--prune', '--selector=set=shop', `--prune-allowlist=${VIRTUAL_MACHINES}`]],
        ['left-out-of-the-set', ['--prune', '--applyset=shop']],
      ])(
        '[DEL-04] [DEL-15] of what is %s comes back, and is the same to the next apply',
        async (namespace, options) => {
          await populate(namespace)
          const labelled = (name: string) => within(namespace, machine(name), { labels: { set: 'shop' } })
          const all = ['one', 'two', 'three'].map(labelled)
          const apply = async (items: Manifest[]): Promise<Result> => {
            const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
            return platform.tryApply(text, `--namespace=${namespace}`, '--as=ann', ...options)
          }
          expect(await apply(all)).toMatchObject({ code: 0 })
          const before = await machinesOf(namespace, 3)
          const lost = before.filter(({ metadata }) => metadata.name !== 'one')
          expect(await apply(all.slice(0, 1))).toMatchObject({ code: 0, stdout: expect.stringContaining('pruned') })
          await comeBack(namespace, lost, 'ann')

          expect(await apply(all)).toMatchObject({ code: 0 })
          expect(identities(await machinesOf(namespace, 3))).toEqual(identities(before))
        },
      )

      test('[DEL-04] [DEL-15] of an owner takes what it owns to the bin; that comes back without the owner', async () => {
        await populate('owned')
        const made = await platform.send<Found>({
          method: 'POST',
          path: '/api/v1/namespaces/owned/configmaps',
          body: { metadata: { name: 'owner' } },
        })
        const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: made.body.metadata.uid }
        await platform.apply(within('owned', machine('web'), { ownerReferences: [owner] }))
        const before = await machinesOf('owned', 1)
        expect(await asAnn('delete', 'configmap', 'owner', '-n', 'owned')).toMatchObject({ code: 0 })
        await comeBack('owned', before, COLLECTOR)
        const [after] = await platform.list('virtualmachines', 'owned')
        expect(after?.metadata).not.toHaveProperty('ownerReferences')
      })
    })

    describe('An engine that deletes the same again and again', () => {
      const DELETES = 4
      const DISKS = 12
      const SECONDS = 6
      const WINDOWS = 2

      test('[DEL-18] gets no further than the brake, however often it tries, until somebody releases that', async () => {
        const settle = async (deletion: object) =>
          platform.apply(platformSettings({ deletion: { brake: { deletes: DELETES, seconds: SECONDS }, ...deletion } }))
        await platform.kubectl('create', 'namespace', 'fleet')
        const resources = '--resource=disks.storage.holdfast.dev'
        await platform.kubectl('create', 'clusterrole', 'pruner', '--verb=get,list,watch,delete', resources)
        await platform.kubectl('create', 'clusterrolebinding', 'pruner', '--clusterrole=pruner', '--user=pruner')
        await settle({})
        await platform.apply(...Array.from({ length: DISKS }, (_, index) => within('fleet', disk(`disk-${index}`))))
        const left = async () => (await platform.list('disks', 'fleet')).length
        await eventually(async () => (await platform.list('disks', 'fleet')).every(isReady))
        const engine = async () => platform.kubectl('delete', 'hfdisk', '--all', '-n', 'fleet', '--as=pruner')

        const end = performance.now() + WINDOWS * SECONDS * 1_000
        const sentence = `pruner deleted ${DELETES} objects of kind Disk within ${SECONDS} s, and no more are let through`
        while (performance.now() < end) {
          expect(await engine()).toMatchObject({ code: 1, stderr: expect.stringContaining(sentence) })
          expect(await left()).toBeGreaterThanOrEqual(DISKS - DELETES)
        }
        await eventually(async () => (await left()) === DISKS - DELETES)

        const until = new Date(Date.now() + 60_000).toISOString()
        await settle({ brakeReleases: [{ person: 'pruner', kind: 'Disk', until }] })
        await eventually(async () => (await engine()).code === 0)
        expect(await left()).toBe(0)
        const found = await entries(platform, 'fleet')
        expect(found.map(({ deletion }) => deletion.by)).toEqual(Array.from({ length: DISKS }, () => 'pruner'))
      })
    })
  })
}

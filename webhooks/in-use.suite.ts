import { beforeAll, describe, expect, test } from 'vitest'
import { DataStorage } from '../crds/data-storage.ts'
import { Disk } from '../crds/disk.ts'
import { Host } from '../crds/host.ts'
import { Image } from '../crds/image.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { answerTo, change, entryOf, make, phaseTo, remove, report } from './testing/people.ts'
import type { World } from './testing/world.ts'

const CRDS = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  scope: 'Cluster',
} as const

const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' } as const

/** The webhooks hear of a change within a moment. */
const eventually = { timeout: 5_000, interval: 50 }

/** What is not deleted because something needs it. Asks the webhooks of a world that runs. */
export function describeInUse(running: () => World): void {
  describe('What is in use', () => {
    let world: World
    let ida: Kube
    let controllers: Kube
    beforeAll(async () => {
      world = running()
      ida = await world.person('ida')
      controllers = await world.account('holdfast-controllers')
    })

    /** Stores what is needed to bring something back, as its finalizer would: as an account that no webhook is asked about. */
    async function putAway(uid: string, contents: object): Promise<void> {
      const entry = await entryOf(controllers, uid)
      const body = { ...entry, spec: { ...entry?.spec, contents } }
      await controllers.send({ method: 'PUT', path: objectPath(RecycledResource, { name: uid }), body })
    }

    /** Lets the name of a deleted Disk go. */
    async function release(name: string): Promise<void> {
      await world.kube.send({
        method: 'PATCH',
        path: objectPath(Disk, { namespace: 'default', name }),
        contentType: 'application/merge-patch+json',
        body: { metadata: { finalizers: null } },
      })
    }

    test('[REM-07] an attached Disk, a Host with machines and a DataStorage with disks are refused with the names', async () => {
      await make(ida, Host, 'host-a')
      await make(ida, DataStorage, 'fast')
      await make(ida, VirtualMachine, 'db', { spec: { disks: [{ diskRef: { name: 'data' } }] } })
      await make(ida, Disk, 'data', { spec: { dataStorage: 'fast' } })
      await report(world.kube, VirtualMachine, 'db', { host: 'host-a' })
      const refusal = (kind: typeof Disk | typeof Host | typeof DataStorage, name: string) => async () =>
        answerTo(remove(ida, kind, name, { dryRun: true }))
      await expect
        .poll(refusal(Disk, 'data'), eventually)
        .toBe(
          'Disk default/data is attached to VirtualMachine default/db: take it out of spec.disks there first, or, where that does not name it (status.unnamedDisks), request Restart in spec.power; if it is the root disk, delete the machine instead',
        )
      await expect
        .poll(refusal(Host, 'host-a'), eventually)
        .toBe('Host host-a has 1 VirtualMachine: default/db: delete these first')
      await expect
        .poll(refusal(DataStorage, 'fast'), eventually)
        .toBe('DataStorage fast has 1 Disk: default/data: delete these first, with the machines that use them')
      const owner = { apiVersion: 'v1', kind: 'Namespace', name: 'gone', uid: '10000000-0000-4000-8000-00000000dead' }
      expect(await answerTo(change(ida, Disk, 'data', { metadata: { ownerReferences: [owner] } }))).toMatch(
        /^an object goes with its owners, so another one counts as a delete: Disk default\/data is attached to/,
      )

      await remove(ida, VirtualMachine, 'db')
      expect(await refusal(Disk, 'data')()).toBe('accepted')
    })

    test('a Disk that a machine of its host has, whatever it is attached to, is refused with that machine', async () => {
      await make(ida, Disk, 'held', { spec: { dataStorage: 'other' } })
      const heldBy = { machineId: '11111111-1111-4111-8111-111111111111', name: 'default/since' }
      await report(world.kube, Disk, 'held', { host: 'host-a', dataStorage: 'other', heldBy })
      expect(await answerTo(remove(ida, Disk, 'held'))).toBe(
        `Disk default/held is in use by machine ${heldBy.machineId} of Host host-a, which was started for VirtualMachine default/since: name the Disk in spec.disks of that VirtualMachine and of no other, or, where it is gone, adopt the machine with spec.adopt.machineId; what is attached can be taken out, and deleted then`,
      )
      // By way of the recycle bin it comes to where the machine is.
      await report(world.kube, Disk, 'held', { heldBy: { machineId: heldBy.machineId, name: null } })
      expect(await answerTo(remove(ida, Disk, 'held', { dryRun: true }))).toBe('accepted')
      await report(world.kube, Disk, 'held', { heldBy: null })
      expect(await answerTo(remove(ida, Disk, 'held'))).toBe('accepted')
    })

    test('[DEL-20] the delete of a machine says which Disks go along, and an attached one is refused marked or not', async () => {
      const marked = [
        { diskRef: { name: 'own' }, deleteWithVirtualMachine: true },
        { diskRef: { name: 'precious' }, deleteWithVirtualMachine: true },
        { diskRef: { name: 'rest' } },
      ]
      const status = { machineId: '11111111-1111-4111-8111-111111111111', host: 'host-c' }
      const holding = { virtualMachine: 'taker', machineId: status.machineId }
      await make(ida, VirtualMachine, 'taker', { spec: { disks: marked } })
      await report(world.kube, VirtualMachine, 'taker', status)
      const nora = await world.person('nora', ['setDeletionPolicy', 'setOwner'])
      await make(ida, Disk, 'own')
      await make(nora, Disk, 'precious', { labels: { 'holdfast.dev/owner': 'ida' }, spec: { deletionPolicy: 'Never' } })
      await make(ida, Disk, 'rest')
      for (const name of ['own', 'precious', 'rest']) {
        await report(world.kube, Disk, name, { host: 'host-c', dataStorage: 'local', size: '1Gi', attachedTo: holding })
      }
      await expect
        .poll(
          async () => (await remove(ida, VirtualMachine, 'taker', { dryRun: true })).warnings.slice(0, 4),
          eventually,
        )
        .toEqual([
          'VirtualMachine default/taker is stopped and put into the recycle bin',
          '1 Disk goes along, as spec.disks says: default/own',
          '2 Disks are detached and stay: default/precious, default/rest',
          'Disk default/precious is to go along, and stays: it has the deletion policy Never',
        ])
      expect(await answerTo(remove(ida, Disk, 'own'))).toContain('is attached to VirtualMachine default/taker')
    })

    test('[DEL-20] who may not delete a Disk does not have a machine take it along', async () => {
      const mia = await world.person('mia', [], ['delete'])
      const disks = [{ diskRef: { name: 'anyone' }, deleteWithVirtualMachine: true }]
      const refusal =
        'mia may not have Disk anyone deleted with the machine: leave deleteWithVirtualMachine out of spec.disks, or ask for the permission delete on disks'
      expect(await answerTo(make(mia, VirtualMachine, 'greedy', { spec: { disks } }))).toBe(refusal)
      await make(mia, VirtualMachine, 'greedy', { spec: { disks: [{ diskRef: { name: 'anyone' } }] } })
      expect(await answerTo(change(mia, VirtualMachine, 'greedy', { spec: { disks } }))).toBe(refusal)
      await change(ida, VirtualMachine, 'greedy', { spec: { disks } })
      expect(await answerTo(change(mia, VirtualMachine, 'greedy', { spec: { cpus: 2 } }))).toBe('accepted')
    })

    test('[REM-07] a Host and a DataStorage with what is in the recycle bin are refused with its entries, an Image warns', async () => {
      await make(ida, Host, 'host-b')
      await make(ida, DataStorage, 'slow', { spec: { local: { host: 'host-b', path: '/srv/slow' } } })
      await make(ida, Image, 'origin')
      const { metadata } = await make(ida, Disk, 'put-away', { spec: { source: { image: { name: 'origin' } } } })
      await remove(ida, Disk, 'put-away')
      const uid = metadata.uid
      const disks = [{ name: 'put-away', uid, id: uid, dataStorage: 'slow', size: '1Gi' }]
      const manifest = { spec: { size: '1Gi', source: { image: { name: 'origin' } } } }
      await putAway(uid, { manifest, host: 'host-b', disks })
      await phaseTo(world.kube, uid, 'Binned')
      await release('put-away')
      const refusal = (kind: typeof Host | typeof DataStorage, name: string) => async () =>
        answerTo(remove(ida, kind, name, { dryRun: true }))
      const what = `holds 1 object that is in the recycle bin: Disk default/put-away (${uid}): set spec.action of these entries to Recover or Purge first`
      await expect.poll(refusal(DataStorage, 'slow'), eventually).toBe(`DataStorage slow ${what}`)
      expect(await refusal(Host, 'host-b')()).toBe(`Host host-b ${what}`)
      const { warnings } = await remove(ida, Image, 'origin', { dryRun: true })
      expect(warnings).toContain('1 object in the recycle bin came from it, and can be brought back without it')

      await phaseTo(world.kube, uid, 'Purging')
      await expect.poll(refusal(Host, 'host-b'), eventually).toMatch(/^this delete has to be confirmed/)
      expect(await refusal(DataStorage, 'slow')()).toBe(`DataStorage slow ${what}`)
    })

    test('[REM-03] of an Image are counted', async () => {
      await make(ida, Image, 'base')
      const rootDisk = { imageRef: { name: 'base' } }
      await Promise.all(['u1', 'u2', 'u3'].map((name) => make(ida, VirtualMachine, name, { spec: { rootDisk } })))
      const source = { image: { name: 'base' } }
      await Promise.all(['d1', 'd2'].map((name) => make(ida, Disk, name, { spec: { source } })))
      const warnings = async () => (await remove(ida, Image, 'base', { dryRun: true })).warnings[1]
      await expect.poll(warnings, eventually).toMatch(/^it is named by 3 VirtualMachines and 2 Disks: /)
    })

    test('[DEL-18] [DEL-21] the namespace that Holdfast keeps its records in is refused by the API server itself', async () => {
      const path = objectPath(NAMESPACES, { name: 'holdfast-system' })
      const answer = await answerTo(world.kube.send({ method: 'DELETE', path, query: { dryRun: 'All' } }))
      expect(answer).toContain("ValidatingAdmissionPolicy 'system-namespace.holdfast.dev'")
      expect(answer).toContain('it holds the keys and records of Holdfast')
    })

    test('[DEL-21] a CustomResourceDefinition with objects is refused with their number, others are not', async () => {
      await make(ida, Disk, 'here')
      const disks = world.kube.send({
        method: 'DELETE',
        path: objectPath(CRDS, { name: 'disks.storage.holdfast.dev' }),
      })
      expect(await answerTo(disks)).toMatch(
        /^the CustomResourceDefinition disks.storage.holdfast.dev has \d+ objects, which would be deleted with it: delete these first$/,
      )
      const all = world.kube.send({ method: 'DELETE', path: collectionPath(CRDS) })
      expect(await answerTo(all)).toContain('which would be deleted with it')
    })
  })
}

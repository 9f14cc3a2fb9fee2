import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import type { Call } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { says } from './testing/guest-console.ts'
import { disk, machine, withMetadata } from './testing/manifests.ts'
import { whileFrozen, without } from './testing/outage.ts'
import { condition, eventually, qemus, type Platform } from './testing/platform.ts'
import { act, binned, entries } from './testing/recycle-bin.ts'

/**
 * The 5 s that the API server waits for webhooks, and what it takes a busy computer to hear of that. By kubectl it would be
 * longer: to start that alone takes a second there.
 */
const REFUSED_WITHIN_MS = 6_000
const NAMESPACE_CONTROLLER = 'system:serviceaccount:kube-system:namespace-controller'
const configurations = 'validatingwebhookconfigurations,mutatingwebhookconfigurations'

/** Deletes while something is away. Wants one machine that runs, a Linux. */
export function describeDeletionOutages(platform: Platform): void {
  describe('Deleting while something is away', () => {
    let guest: number | undefined

    beforeAll(async () => {
      await platform.apply(disk('kept'), disk('spare'), machine('away', { runStrategy: 'Halted' }))
      await Promise.all(['kept', 'spare'].map(async (name) => platform.ready('disks', name)))
      await platform.ready('virtualmachines', 'away')
      guest = await theGuest()
    }, 300_000)

    /** Process of the one machine that runs. */
    async function theGuest(): Promise<number | undefined> {
      const all = await qemus(platform)
      expect(all).toHaveLength(1)
      return all[0]?.pid
    }

    const files = async () => readdir(join(platform.home, 'storage', 'disks'))

    /** Tries each kind of write, and returns what the user is told. */
    async function tryWrites(): Promise<string[]> {
      const text = JSON.stringify(disk('new'))
      const results = await Promise.all([
        platform.tryApply(text),
        platform.kubectl('label', 'hfdisk', 'kept', 'some=thing'),
        platform.kubectl('delete', 'hfdisk', 'kept', '--wait=false'),
        platform.kubectl('delete', 'hfvm', 'hello', '--grace-period=0', '--force', '--wait=false'),
      ])
      return results.map(({ code, stderr }) => (code === 1 ? stderr : 'accepted'))
    }

    /** How long the slowest refusal of those takes, in milliseconds, by who is connected already. */
    async function slowestRefusalMs(): Promise<number> {
      const kept = { path: objectPath(Disk, { namespace: 'default', name: 'kept' }) }
      const labels = { body: { metadata: { labels: { some: 'thing' } } } }
      const writes: Call[] = [
        { method: 'POST', path: collectionPath(Disk, 'default'), body: disk('new') },
        { method: 'PATCH', ...kept, contentType: 'application/merge-patch+json', ...labels },
        { method: 'DELETE', ...kept },
      ]
      const took = writes.map(async (write) => {
        const begun = performance.now()
        await expect(platform.send(write)).rejects.toThrow(refused)
        return performance.now() - begun
      })
      return Math.max(...(await Promise.all(took)))
    }

    const refused = /failed calling webhook "(kinds|owners)\.holdfast\.dev": failed to call webhook/

    /** What has nothing to do with us goes on. */
    async function expectTheRestGoesOn(name: string): Promise<void> {
      for (const command of [
        ['create', 'configmap', name],
        ['delete', 'configmap', name],
        ['create', 'namespace', name],
        ['delete', 'namespace', name, '--timeout=60s'],
      ]) {
        expect(await platform.kubectl(...command)).toMatchObject({ code: 0 })
      }
      expect(await theGuest()).toBe(guest)
      await says(platform, 'hello', `echo ${name}`, name)
    }

    describe('While the webhooks', () => {
      test.each([
        ['hang', whileFrozen],
        ['are gone', without],
      ] as const)(
        '%s, our kinds are not written, which is said within 5 s, and all else goes on',
        async (how, meanwhile) => {
          const name = how.replaceAll(' ', '-')
          await meanwhile(platform, 'webhooks', async () => {
            expect(await slowestRefusalMs()).toBeLessThan(REFUSED_WITHIN_MS)
            const [refusals] = await Promise.all([tryWrites(), expectTheRestGoesOn(name)])
            for (const refusal of refusals) expect(refusal).toMatch(refused)
          })
          await eventually(
            async () => (await platform.kubectl('label', 'hfdisk', 'kept', '--overwrite', `after=${name}`)).code === 0,
          )
          expect(await platform.get('disks', 'new')).toBeUndefined()
          expect(condition(await platform.get('virtualmachines', 'hello'))?.status).toBe('True')
        },
      )

      test('[DEL-14] are gone, a namespace with our objects waits, and loses nothing once they are back', async () => {
        await platform.kubectl('create', 'namespace', 'yard')
        await platform.apply(withMetadata(disk('data'), { namespace: 'yard' }))
        const { status, metadata } = await platform.ready('disks', 'data')
        await without(platform, 'webhooks', async () => {
          expect(await platform.kubectl('delete', 'namespace', 'yard', '--wait=false')).toMatchObject({ code: 0 })
          expect(await platform.get('disks', 'data')).toMatchObject({ metadata: { uid: metadata.uid } })
        })
        const entry = await binned(platform, 'Disk', 'data', 'yard')
        // Nobody was there to see who deleted the namespace.
        expect(entry).toMatchObject({ name: metadata.uid, deletion: { by: NAMESPACE_CONTROLLER, policy: 'Delayed' } })
        expect(await files()).toContain(`${status?.id}.qcow2`)
      }, 120_000)
    })

    test('[DEL-15] A machine whose host is away is put away once that is back, and nothing of it is lost', async () => {
      const { metadata, status } = await platform.ready('virtualmachines', 'away')
      const file = (await platform.get('disks', 'away-root'))?.status?.id
      await without(platform, 'agent', async () => {
        await platform.kubectl('delete', 'hfvm', 'away', '--wait=false')
        const waiting = await eventually(async () => {
          const found = await platform.get('virtualmachines', 'away')
          return condition(found, 'CleanedUp')?.reason === 'HostUnreachable' && found
        })
        expect(condition(waiting)).toMatchObject({
          reason: 'Deleting',
          message: 'Host host-1 does not answer; the machine may still run there',
        })
        expect(waiting.metadata).toMatchObject({ uid: metadata.uid, deletionTimestamp: expect.any(String) })
        const entry = (await entries(platform, 'default')).find(({ name }) => name === metadata.uid)
        expect(entry).toMatchObject({ phase: 'Pending', deletion: { policy: 'Delayed' } })
        expect(await files()).toContain(`${file}.qcow2`)
      })
      const entry = await binned(platform, 'VirtualMachine', 'away')
      expect(entry.contents).toMatchObject({ machineId: status?.machineId, disks: [{ id: file }] })
      await act(platform, entry, { action: 'Recover' })
      const back = await platform.ready('virtualmachines', 'away')
      expect(back.status?.machineId).toBe(status?.machineId)
      expect((await platform.get('disks', 'away-root'))?.status?.id).toBe(file)
      expect(await theGuest()).toBe(guest)
    })

    test('[DEL-04] [DEL-08] A disk whose finalizer somebody takes off before it is put away is in the bin all the same', async () => {
      await platform.apply(disk('stripped', { deletionPolicy: 'Never' }))
      const { status } = await platform.ready('disks', 'stripped')
      await without(platform, 'controllers', async () => {
        await platform.kubectl('delete', 'hfdisk', 'stripped', '--wait=false')
        await platform.kubectl(
          'patch',
          'hfdisk',
          'stripped',
          '--type=merge',
          '--patch={"metadata":{"finalizers":null}}',
        )
        expect(await platform.get('disks', 'stripped')).toBeUndefined()
      })
      const entry = await binned(platform, 'Disk', 'stripped')
      expect(entry).toMatchObject({ deletion: { policy: 'Never' }, contents: { disks: [{ id: status?.id }] } })
      await act(platform, entry, { action: 'Recover' })
      expect((await platform.ready('disks', 'stripped')).status?.id).toBe(status?.id)
      expect(await files()).toContain(`${status?.id}.qcow2`)
    })

    describe('The webhook configurations', () => {
      test('are there from the last start, whose webhooks are gone, and a start from cold works', async () => {
        process.kill(await platform.pid('supervisor'), 'SIGKILL')
        await platform.forget()
        expect(await platform.start()).toMatchObject({ code: 0 })
        expect(await theGuest()).toBe(guest)
        expect(await platform.kubectl('label', 'hfdisk', 'kept', '--overwrite', 'after=start')).toMatchObject({
          code: 0,
        })
      }, 120_000)

      test('[DEL-04] deleted by an administrator: what is deleted then goes to the bin all the same', async () => {
        const { status } = await platform.ready('disks', 'spare')
        await platform.kubectl('delete', configurations, 'holdfast')
        await platform.kubectl('delete', 'hfdisk', 'spare', '--timeout=60s')
        const entry = await binned(platform, 'Disk', 'spare')
        expect(entry.deletion).toMatchObject({ by: 'unknown', policy: 'Delayed', purgeAt: expect.any(String) })
        expect(await files()).toContain(`${status?.id}.qcow2`)
        await act(platform, entry, { action: 'Recover' })
        expect((await platform.ready('disks', 'spare')).status?.id).toBe(status?.id)
      })
    })
  })
}

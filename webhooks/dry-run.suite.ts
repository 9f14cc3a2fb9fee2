import { beforeAll, describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { entryOf, make, remove } from './testing/people.ts'
import type { World } from './testing/world.ts'

const NAMESPACES = { group: '', version: 'v1', plural: 'namespaces', scope: 'Cluster' } as const
const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps', scope: 'Namespaced' } as const

interface Record {
  readonly metadata: { readonly name: string }
  readonly data?: { readonly person?: string }
}

/** What a delete does that is only tried. Asks the webhooks of a world that runs. */
export function describeDryRuns(running: () => World): void {
  describe('A delete as a dry run', () => {
    let world: World
    let dora: Kube
    beforeAll(async () => {
      world = running()
      dora = await world.person('dora')
    })

    test('[REM-05] says what it would do, and writes nothing', async () => {
      const { metadata } = await make(dora, Disk, 'dry')
      const dry = await remove(dora, Disk, 'dry', { dryRun: true })
      expect(await entryOf(world.kube, metadata.uid)).toBeUndefined()
      const wet = await remove(dora, Disk, 'dry')
      const sentences = ({ warnings }: { readonly warnings: readonly string[] }) => warnings.filter((_, i) => i !== 1)
      expect(sentences(dry)).toEqual(sentences(wet))
    })

    test('[DEL-18] [DEL-14] counts for no brake, and books no namespace', async () => {
      const tom = await world.person('tom')
      /** What is written down of Tom. */
      const records = async () => {
        const path = collectionPath(CONFIG_MAPS, 'holdfast-system')
        const { body } = await world.kube.send<{ items: readonly Record[] }>({ method: 'GET', path })
        return body.items.filter(({ data }) => data?.person === 'tom').map(({ metadata }) => metadata.name)
      }
      await make(tom, Disk, 'tried')
      // So that it stays, and with it the record of it.
      const metadata = { name: 'tried', finalizers: ['example.com/stays'] }
      await tom.send({ method: 'POST', path: collectionPath(NAMESPACES), body: { metadata } })
      const deleteBoth = async (body: object) => {
        await tom.send({ method: 'DELETE', path: objectPath(Disk, { namespace: 'default', name: 'tried' }), body })
        await tom.send({ method: 'DELETE', path: objectPath(NAMESPACES, { name: 'tried' }), body })
      }
      await deleteBoth({ dryRun: ['All'] })
      expect(await records()).toEqual([])
      await deleteBoth({})
      expect(await records()).toEqual([expect.stringMatching(/^brake-/), 'namespace-tried'])
    })
  })
}

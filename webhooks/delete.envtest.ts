import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import type { Kube } from '../lib/kube/client.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import { startWorld, type World } from './testing/world.ts'

let world: World
let ann: Kube
beforeAll(async () => {
  // oxlint-disable-next-line node/no-process-env -- where the programs are
  world = await startWorld(process.env)
  const { port } = await world.startWebhooks()
  await world.install(port)
  ann = await world.person('ann')
})
afterAll(() => world[Symbol.asyncDispose]())

const namespace = 'default'

async function make(kube: Kube, name: string): Promise<VirtualMachine> {
  const body = {
    apiVersion: 'compute.holdfast.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name },
    spec: { memory: '1Gi', rootDisk: { imageRef: { name: 'debian' } } },
  }
  return (await kube.send<VirtualMachine>({ method: 'POST', path: collectionPath(VirtualMachine, namespace), body }))
    .body
}

describe('A delete', () => {
  test('[DEL-09] of a VirtualMachine writes down who, when and what becomes of it, and says the way back', async () => {
    const { metadata } = await make(ann, 'web')
    expect(metadata.labels).toEqual({ 'holdfast.dev/owner': 'ann' })
    const reply = await ann.send({ method: 'DELETE', path: objectPath(VirtualMachine, { namespace, name: 'web' }) })
    expect(reply.warnings).toEqual([
      'VirtualMachine default/web is stopped and put into the recycle bin',
      expect.stringMatching(/^it is destroyed at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; until then it can be brought back$/),
      `kubectl patch recycled ${metadata.uid} --type=merge -p '{"spec":{"action":"Recover"}}'`,
    ])
    const path = objectPath(RecycledResource, { name: metadata.uid })
    const { body: entry } = await world.kube.send<RecycledResource>({ method: 'GET', path })
    expect(entry.spec.deletion).toMatchObject({ by: 'ann', policy: 'Delayed', retention: '7d' })
    expect(Date.parse(entry.spec.deletion.purgeAt ?? '') - Date.parse(entry.spec.deletion.at)).toBe(7 * 24 * 3_600_000)
  })
})

import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { brakeRecords, RECORD_LABEL, toBrakeData } from '../../crds/brake-record.ts'
import { systemClock } from '../../lib/clock.ts'
import { Kube } from '../../lib/kube/client.ts'
import { silentLog } from '../../lib/log.ts'
import { followCluster, newCaches } from './caches.ts'

const path = `/api/v1/namespaces/${brakeRecords.namespace}/configmaps`
const names = ['brake-1', 'brake-2', 'namespace-1', 'ca']

let admin: Kube
let controllers: Kube
beforeAll(async () => {
  admin = await Kube.connect(inject('kubeconfig'))
  controllers = await Kube.connect(inject('controllersKubeconfig'))
})
afterAll(async () => {
  for (const name of names) await admin.send({ method: 'DELETE', path: `${path}/${name}` })
  await admin[Symbol.asyncDispose]()
  await controllers[Symbol.asyncDispose]()
})

async function record(name: string, of?: string): Promise<void> {
  const state = { deletes: [], latchedAt: '2026-01-01T00:00:00Z' }
  const metadata = { name, ...(of !== undefined && { labels: { [RECORD_LABEL]: of } }) }
  await admin.send({
    method: 'POST',
    path,
    body: { metadata, data: toBrakeData({ person: name, kind: 'Disk', state }) },
  })
}

test('[DEL-18] The controllers, with the rights that they have, follow the records of brakes and no other ConfigMaps', async () => {
  await record('brake-1', 'brake')
  await record('namespace-1', 'namespace')
  await record('ca')
  const caches = newCaches()
  const stop = new AbortController()
  const following = followCluster(caches, {
    kube: controllers,
    clock: systemClock,
    log: silentLog,
    signal: stop.signal,
  })
  await caches.brakes.synced
  const persons = () => caches.brakes.list().map(({ data }) => data?.['person'])
  expect(persons()).toEqual(['brake-1'])
  await record('brake-2', 'brake')
  await expect.poll(persons).toEqual(['brake-1', 'brake-2'])
  stop.abort()
  await following
})

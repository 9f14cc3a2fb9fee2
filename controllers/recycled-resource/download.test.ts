import { describe, expect, test } from 'vitest'
import { entry as newEntry, image, meta } from '../../crds/testing/objects.ts'
import { newWorld } from './testing.ts'

const SHA256 = 'b'.repeat(64)
const http = { source: { http: { url: 'https://files.example.com/a.qcow2' } }, checksum: `sha256:${SHA256}` }
const download = { sha256: SHA256, hosts: ['host-a', 'host-z'] }

/** The entry of Image shop/data, whose file host-a has, and host-z, which is no more. */
function ofImage() {
  const world = newWorld('Binned', 'Delayed', { manifest: { metadata: {}, spec: http }, download })
  world.store.change(({ spec }) => void (spec.resource = { ...spec.resource, kind: 'Image' }))
  world.host.downloads.set(SHA256, {
    url: http.source.http.url,
    sha256: SHA256,
    format: 'qcow2',
    maxBytes: 1,
    allowedNetworks: [],
  })
  return world
}

describe('RecycledResource of an Image', () => {
  test.each([
    ['is removed with it', {}, 0],
    ['stays while another Image has it there', { images: [image({ downloadHosts: ['host-a'] }, http)] }, 1],
    ['is removed when an Image has it elsewhere', { images: [image({ downloadHosts: ['host-b'] }, http)] }, 0],
    ['stays while another entry keeps it there', { others: [newEntry('Image', 'other', { download })] }, 1],
  ])('[DEL-08] [DEL-11] that is purged: what a host downloaded %s', async (_, api, left) => {
    const world = ofImage()
    Object.assign(world.api, api)
    world.store.change(({ spec }) => void (spec.action = 'Purge'))
    await world.settle()
    expect([world.host.downloads.size, world.store.stored]).toEqual([left, undefined])
  })

  test('[DEL-11] keeps what hosts downloaded until the Image that it is brought back as says so', async () => {
    const world = ofImage()
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    expect(world.store.stored).toMatchObject({ spec: { contents: { download } }, status: { phase: 'Recovering' } })
    const back = (downloadHosts: string[]) => ({
      metadata: world.there.get('shop/data')?.metadata ?? meta(''),
      spec: http,
      status: { downloadHosts },
    })
    world.there.set('shop/data', back(['host-a']))
    await world.look()
    expect(world.store.stored?.status?.phase).toBe('Recovering')
    world.there.set('shop/data', back(download.hosts))
    await world.look()
    expect([world.store.stored, world.host.downloads.size]).toEqual([undefined, 1])
  })

  test('[DEL-16] goes when its manifest asks for another file by now', async () => {
    const world = ofImage()
    world.store.change(({ spec }) => void (spec.action = 'Recover'))
    await world.settle()
    const { metadata } = world.there.get('shop/data') ?? { metadata: meta('') }
    world.there.set('shop/data', { metadata, spec: { ...http, checksum: `sha256:${'c'.repeat(64)}` } })
    await world.look()
    expect(world.store.stored).toBeUndefined()
  })
})

import { createHash, randomBytes } from 'node:crypto'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeBootSector } from '../lib/testing/boot-sector.ts'
import { serveImage, type ImageServer } from './testing/image-server.ts'
import { imageByHttp, machine, platformSettings } from './testing/manifests.ts'
import { condition, eventually, isReady, toQcow2, type Platform } from './testing/platform.ts'

const SLOW_MS = 120_000
const LARGE_BYTES = 16 * 2 ** 20

/** Images from a server. */
export function describeImages(platform: Platform): void {
  describe('An image by http', () => {
    let server: ImageServer
    let file: Buffer
    let checksum: string

    beforeAll(async () => {
      file = await readFile(await writeLargeGuest(platform.home))
      checksum = `sha256:${createHash('sha256').update(file).digest('hex')}`
      server = await serveImage(file)
    }, 300_000)
    afterAll(async () => {
      await server[Symbol.asyncDispose]()
      await platform.clear()
    }, 120_000)

    const downloaded = () => readdir(join(platform.home, 'agent', 'images'))

    test('[IMG-12] is not fetched from this computer, and names the setting', async () => {
      await platform.apply(imageByHttp('fetched', server.url, checksum))
      const found = await eventually(async () => {
        const ready = condition(await platform.get('images', 'fetched'))
        return ready?.reason === 'AddressNotAllowed' && ready
      }, SLOW_MS)
      expect(found.message).toBe(
        'The address 127.0.0.1 is loopback: use a public server, or allow its network in PlatformSettings spec.imports.allowedNetworks (host host-1)',
      )
      expect(server.ranges).toEqual([])
      expect(await downloaded()).toEqual([])
    })

    test('is fetched when that is allowed; killed in the middle, agent and controllers go on where they were', async () => {
      const half = Math.floor(file.length / 2)
      server.stopAtBytes = half
      // The bin keeps a download as well; here it is to be gone with its Image.
      const deletion = { image: { policy: 'Immediate', confirmation: 'None' } }
      await platform.apply(platformSettings({ imports: { allowedNetworks: ['127.0.0.0/8'] }, deletion }))
      const progress = async () => {
        const found = await platform.get('images', 'fetched')
        return condition(found)?.reason === 'Downloading' && Number(found?.status?.['progress'])
      }
      await eventually(async () => server.sentBytes === half && Number(await progress()) >= 30, SLOW_MS)

      const killed = { agent: await platform.pid('agent'), controllers: await platform.pid('controllers') }
      for (const pid of Object.values(killed)) process.kill(pid, 'SIGKILL')
      await eventually(async () => server.ranges.length >= 2, SLOW_MS)
      server.stopAtBytes = Infinity
      await platform.ready('images', 'fetched')

      expect(await platform.get('images', 'fetched')).toMatchObject({ status: { progress: 100, hosts: ['host-1'] } })
      // The second answer began where the agent was: nothing but what it lost on the way was sent twice.
      const [first, second = 0] = server.ranges
      expect(first).toBe(0)
      expect(second).toBeGreaterThan(file.length * 0.3)
      expect(server.sentBytes).toBe(file.length + half - second)
      const name = checksum.slice('sha256:'.length)
      expect((await downloaded()).toSorted()).toEqual([name, `${name}.origins`])
    })

    test('makes a machine that boots', async () => {
      await platform.apply(machine('from-http', { rootDisk: { imageRef: { name: 'fetched' } } }))
      await platform.ready('virtualmachines', 'from-http')
      const log = await eventually(async () => {
        const text = await platform.serialLog('from-http')
        return text.includes('booted') && text
      }, SLOW_MS)
      expect(log).not.toMatch(/panic/i)
    })

    test('is shared by a second one of the same checksum, and goes with the last of them', async () => {
      const sentBytes = server.sentBytes
      await platform.apply(imageByHttp('again', server.url, checksum))
      await platform.ready('images', 'again')
      expect(server.sentBytes).toBe(sentBytes)
      await platform.kubectl('delete', 'hfimg', 'fetched', '--timeout=60s')
      expect(await downloaded()).toHaveLength(2)
      await platform.kubectl('delete', 'hfimg', 'again', '--timeout=60s')
      expect(await downloaded()).toEqual([])
      // The disk has a copy of its own.
      expect(isReady(await platform.get('virtualmachines', 'from-http'))).toBe(true)
    })

    test('that is deleted in the middle of its download ends it, and leaves nothing', async () => {
      server.stopAtBytes = 1_000_000
      await platform.apply(imageByHttp('cancelled', server.url, checksum))
      await eventually(async () => (await downloaded()).some((name) => name.endsWith('.part')), SLOW_MS)
      expect(await platform.kubectl('delete', 'hfimg', 'cancelled', '--timeout=60s')).toMatchObject({ code: 0 })
      expect(await downloaded()).toEqual([])
    })
  })
}

/** The guest of one sector on a disk with more on it than fits into what is under way at once. */
async function writeLargeGuest(folder: string): Promise<string> {
  const [raw, image] = [join(folder, 'large.raw'), join(folder, 'large.qcow2')]
  await writeBootSector(raw)
  await using disk = await open(raw, 'r+')
  await disk.write(randomBytes(LARGE_BYTES), 0, LARGE_BYTES, 2 ** 20)
  await toQcow2(raw, image)
  return image
}

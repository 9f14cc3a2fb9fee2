import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import type { Kube } from '../lib/kube/client.ts'
import { answerTo, change, make, remove } from './testing/people.ts'
import type { Webhooks, World } from './testing/world.ts'

/** What the API server waits, and what it takes to say so. */
const REFUSED_WITHIN_MS = 5_500

/** What the API server does while webhooks take connections and answer nothing. Stops those that run, so it comes last. */
export function describeSilence(running: () => { readonly world: World; readonly webhooks: Webhooks }): void {
  describe('While the webhooks say nothing', () => {
    const open = new Set<Socket>()
    const silent = createServer((socket) => {
      open.add(socket.on('error', () => undefined))
    })
    let sam: Kube
    beforeAll(async () => {
      const { world, webhooks } = running()
      sam = await world.person('sam')
      await make(sam, Disk, 'quiet')
      await webhooks.stop()
      await once(silent.listen(webhooks.port, '127.0.0.1'), 'listening')
    })
    afterAll(() => {
      silent.close()
      for (const socket of open) socket.destroy()
    })

    test.each<[string, () => Promise<unknown>]>([
      ['create', async () => make(sam, Disk, 'unheard')],
      ['change', async () => change(sam, Disk, 'quiet', { metadata: { labels: { a: 'b' } } })],
      ['delete', async () => remove(sam, Disk, 'quiet')],
    ])('a %s of our kinds is refused within 5 s', async (_, write) => {
      const begunMs = performance.now()
      expect(await answerTo(write())).toMatch(/failed calling webhook "(owners|kinds)\.holdfast\.dev"/)
      expect(performance.now() - begunMs).toBeLessThan(REFUSED_WITHIN_MS)
      // Or it would say nothing of how long they wait.
      expect(open.size).toBeGreaterThan(0)
    })
  })
}

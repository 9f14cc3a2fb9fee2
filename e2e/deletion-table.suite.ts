import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kinds } from '../crds/index.ts'
import { collectionPath, objectPath } from '../lib/kube/paths.ts'
import * as table from './testing/deletion-table.ts'
import type { Case } from './testing/deletion-table.ts'
import { serveImage, variantOf, type ImageServer } from './testing/image-server.ts'
import { platformSettings, type Manifest } from './testing/manifests.ts'
import { eventually, isReady, run, type Found, type Platform } from './testing/platform.ts'
import { entries, type Entry } from './testing/recycle-bin.ts'

const COLLECTOR = 'system:serviceaccount:kube-system:generic-garbage-collector'
const ADMINISTRATOR = 'holdfast-administrator'
const RETENTION_DAYS = { VirtualMachine: 7, Disk: 3, Image: 3 } as const
const DAY_MS = 24 * 3_600_000
const FILE = 'tiny.qcow2'

/** Every way of a delete, under every policy, from every source. */
export function describeDeletionTable(platform: Platform): void {
  describe('Every delete', () => {
    const disksFolder = join(platform.home, 'storage', 'disks')
    const imagesFolder = join(platform.home, 'agent', 'images')
    let server: ImageServer
    /** What was made for a case, and where its bytes are. */
    const subjects = new Map<string, Subject>()

    beforeAll(async () => {
      const path = join(platform.home, 'import', FILE)
      await run('qemu-img', ['create', '-f', 'qcow2', path, '1M'], process.env)
      const bytes = await readFile(path)
      server = await serveImage((url) => variantOf(bytes, url))
      await settle(0)
      await Promise.all(table.cases.map((one) => populate(one, bytes)))
    }, 300_000)
    afterAll(async () => {
      await server[Symbol.asyncDispose]()
      await platform.clear()
    }, 120_000)

    async function settle(round: number): Promise<void> {
      const placement = { cpuOvercommitPercent: 3200 }
      const imports = { allowedNetworks: ['127.0.0.0/8'] }
      await platform.apply(platformSettings({ placement, imports, deletion: table.deletionIn(round) }))
    }

    async function populate(one: Case, bytes: Buffer): Promise<void> {
      const { namespace } = one
      await platform.send({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: namespace } } })
      const owner = { metadata: { name: table.OWNER } }
      const path = `/api/v1/namespaces/${namespace}/configmaps`
      const { body } = await platform.send<Found>({ method: 'POST', path, body: owner })
      const address = `/${namespace}.qcow2`
      const sha256 = sha256Of(variantOf(bytes, address))
      const source = { url: new URL(address, server.url).href, checksum: `sha256:${sha256}` }
      for (const manifest of table.companionsOf(one, FILE)) await create(manifest)
      await create(table.subjectOf(one, body.metadata.uid, source))
      const made = await eventually(async () => {
        const found = await subjectOf(one)
        return isReady(found) && found
      }, 120_000)
      const file = await fileOf(one, made, sha256)
      expect(await files()).toContain(file)
      subjects.set(namespace, { uid: made.metadata.uid, file, bytes: await digestOf(file) })
    }

    async function create(body: Manifest): Promise<void> {
      const path = collectionPath(kindOf(body.kind), String(body.metadata['namespace']))
      await platform.send({ method: 'POST', path, body })
    }

    async function subjectOf(one: Case): Promise<Found | undefined> {
      const found = await platform.list(table.pluralOf(one), one.namespace)
      return found.find(({ metadata }) => metadata.name === table.SUBJECT)
    }

    /** Of a machine it is that of its root disk. */
    async function fileOf({ kind, namespace }: Case, made: Found, sha256: string): Promise<string> {
      if (kind === 'Image') return sha256
      const [root] = kind === 'Disk' ? [made] : await platform.list('disks', namespace)
      return `${root?.status?.id}.qcow2`
    }

    /** Everything of ours that takes space on the host. */
    async function files(): Promise<string[]> {
      return (await Promise.all([disksFolder, imagesFolder].map((folder) => readdir(folder)))).flat()
    }

    /** SHA-256 of all bytes of a file. */
    async function digestOf(file: string): Promise<string> {
      const folder = file.endsWith('.qcow2') ? disksFolder : imagesFolder
      return sha256Of(await readFile(join(folder, file)))
    }

    async function remove(one: Case): Promise<void> {
      const { kind, path, namespace } = one
      const how = [...(table.optionsOf[path] ?? []), '-n', namespace, '--wait=false']
      if (path === 'namespace') await platform.kubectl('delete', 'namespace', namespace, '--wait=false')
      else if (path === 'owner') await platform.kubectl('delete', 'configmap', table.OWNER, ...how)
      else if (path === 'prune') await prune(one)
      else if (path === 'collection') {
        const query = { labelSelector: `part=${table.SUBJECT}` }
        await platform.send({ method: 'DELETE', path: collectionPath(kindOf(kind), namespace), query })
      } else await platform.kubectl('delete', kind, table.SUBJECT, ...how)
    }

    async function prune(one: Case): Promise<void> {
      const { group, version, kind } = kindOf(one.kind)
      const only = [`--selector=part=${table.SUBJECT}`, `--prune-allowlist=${group}/${version}/${kind}`]
      const text = JSON.stringify(table.restOf(one))
      expect(await platform.tryApply(text, '--prune', ...only, '-n', one.namespace)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(`${table.SUBJECT} pruned`),
      })
    }

    /** The webhooks hear of other settings within a moment. */
    async function untilSettled(round: number): Promise<void> {
      const samples = table.cases.filter(
        (one) => one.round === round && one.source === 'settings' && one.path === 'kubectl',
      )
      for (const { kind, policy, namespace } of samples) {
        await eventually(async () => {
          const path = objectPath(kindOf(kind), { namespace, name: table.SUBJECT })
          const { warnings } = await platform.send({ method: 'DELETE', path, body: { dryRun: ['All'] } })
          return warnings.some((warning) => warning.includes(sayings[policy]))
        })
      }
    }

    describe.each([0, 1, 2])('Under settings %i', (round) => {
      beforeAll(async () => {
        await settle(round)
        await untilSettled(round)
        // Nothing in a namespace is deleted for the first five seconds.
        await Promise.all(table.cases.filter((one) => one.round === round && one.path === 'namespace').map(remove))
      })

      describe.concurrent('a delete', () => {
        test.each(table.cases.filter((one) => one.round === round))(
          '[DEL-03] [DEL-04] [DEL-08] [DEL-13] of a $kind by $path under $policy from $source does as that says',
          async (one) => {
            const { uid, file } = subjects.get(one.namespace) ?? { uid: '', file: '' }
            if (one.path !== 'namespace') await remove(one)
            await eventually(async () => (await subjectOf(one)) === undefined)
            const hasFile = (await files()).includes(file)
            const entry = await eventually(async () => {
              const [found] = (await entries(platform, one.namespace)).filter(({ name }) => name === uid)
              return (one.policy === 'Immediate' ? found === undefined : found?.isSettled) === true && { found }
            })
            expect({ hasFile, entry: entry.found && summaryOf(entry.found) }).toEqual(outcomeOf(one))
            // What goes with a machine has no entry of its own.
            const others = async () => (await entries(platform, one.namespace)).filter(({ name }) => name !== uid)
            await eventually(async () => (await others()).every(({ resource }) => resource.kind === 'Image'))
          },
        )
      })
    })

    test('[DEL-07] [DEL-08] After all of that, what is to be kept is there to the last byte, and nothing else', async () => {
      const kept = table.cases.filter(({ policy }) => policy !== 'Immediate')
      const found = (await entries(platform)).filter(({ resource }) => resource.name === table.SUBJECT)
      expect(found.map(({ resource }) => resource.namespace).toSorted()).toEqual(
        kept.map(({ namespace }) => namespace).toSorted(),
      )
      const present = new Set(await files())
      const left = [...subjects].filter(([, { file }]) => present.has(file)).map(([namespace]) => namespace)
      expect(left.toSorted()).toEqual(kept.map(({ namespace }) => namespace).toSorted())
      const after = kept.map(async ({ namespace }) => [namespace, await digestOf(subjects.get(namespace)?.file ?? '')])
      expect(await Promise.all(after)).toEqual(kept.map(({ namespace }) => [namespace, subjects.get(namespace)?.bytes]))
    })
  })
}

interface Subject {
  readonly uid: string
  /** Name of its file. */
  readonly file: string
  /** Digest of that when it was made. */
  readonly bytes: string
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function kindOf(name: string) {
  const found = kinds.find(({ kind }) => kind === name)
  if (!found) throw new Error(`there is no kind ${name}`)
  return found
}

const sayings = {
  Immediate: 'there is no way back: its deletion policy is Immediate',
  Delayed: 'until then it can be brought back',
  Never: 'it is kept for good',
}

function summaryOf({ resource: { kind, name }, deletion: { by, policy, at, purgeAt } }: Entry) {
  return { kind, name, by, policy, keptMs: purgeAt === undefined ? Infinity : Date.parse(purgeAt) - Date.parse(at) }
}

/** What a delete comes to. */
function outcomeOf({ kind, policy, path }: Case) {
  if (policy === 'Immediate') return { hasFile: false, entry: undefined }
  const by = path === 'owner' ? COLLECTOR : ADMINISTRATOR
  const keptMs = policy === 'Never' ? Infinity : RETENTION_DAYS[kind] * DAY_MS
  return { hasFile: true, entry: { kind, name: table.SUBJECT, by, policy, keptMs } }
}

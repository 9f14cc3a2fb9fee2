import { glob, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import * as z from 'zod'
import { kubectl } from '../local/kubectl.ts'
import { kinds } from './index.ts'
import { Cluster, manifest } from './testing/cluster.ts'

const SAMPLES = join(import.meta.dirname, '..', 'config', 'samples')

let cluster: Cluster
let cache: string
beforeAll(async () => {
  cluster = await Cluster.connect(inject('kubeconfig'))
  cache = await mkdtemp(join(tmpdir(), 'hf-kubectl-'))
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  await rm(cache, { recursive: true, force: true })
})

const written = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string().optional(), generateName: z.string().optional() }),
})

describe('Samples', async () => {
  const files = await Array.fromAsync(glob('**/*.yaml', { cwd: SAMPLES }))

  test('are there for every kind', async () => {
    const texts = await Promise.all(files.map((file) => readFile(join(SAMPLES, file), 'utf8')))
    const shown = texts.flatMap((text) => loadAll(text)).map((document) => written.parse(document).kind)
    expect(new Set(shown)).toEqual(new Set(kinds.map(({ kind }) => kind)))
  })

  test.each(files)('%s is accepted as it is', async (file) => {
    const text = await readFile(join(SAMPLES, file), 'utf8')
    expect(text).toMatch(/^# [A-Z]/)
    for (const document of loadAll(text)) {
      const sample = written.parse(document)
      // One that is created time and again is given the end of its name by the API server.
      const { generateName = '', name = `${generateName}x` } = sample.metadata
      expect(await cluster.objection({ ...sample, metadata: { name } })).toBe('accepted')
    }
  })
})

describe('Defaults', () => {
  const rootDisk = { imageRef: { name: 'a' } }
  const data = { diskRef: { name: 'data' } }
  test.each<[string, object, object]>([
    [
      'VirtualMachine',
      { memory: '1Gi', rootDisk, disks: [data] },
      {
        memory: '1Gi',
        rootDisk,
        cpus: 1,
        machineType: 'q35',
        runStrategy: 'Always',
        // A default in here would be a change to the next kubectl apply, and to that after it.
        disks: [data],
        placement: {},
        terminationGracePeriodSeconds: 60,
      },
    ],
    ['Disk', { size: '1Gi' }, { size: '1Gi' }],
    ['Image', { source: { file: { path: 'a' } } }, { source: { file: { path: 'a' } }, format: 'qcow2' }],
    ['DataStorage', { local: { host: 'a', path: '/srv' } }, { type: 'Local', local: { host: 'a', path: '/srv' } }],
    ['Host', { address: 'a' }, { address: 'a', port: 8444 }],
    [
      'PlatformSettings',
      {},
      {
        placement: {
          cpuOvercommitPercent: 1000,
          memoryOvercommitPercent: 100,
          reservedMemoryMi: 1024,
          storageOvercommitPercent: 200,
        },
        imports: { allowedNetworks: [], maxImageSize: '64Gi' },
        deletion: {
          virtualMachine: { policy: 'Delayed', retention: '7d' },
          disk: { policy: 'Delayed', retention: '3d' },
          image: { policy: 'Delayed', retention: '3d' },
          host: { confirmation: 'Required' },
          dataStorage: { confirmation: 'Required' },
          brake: { deletes: 20, seconds: 60 },
          brakeReleases: [],
          onNameReuse: 'Fresh',
        },
      },
    ],
  ])('of a %s are filled in', async (kind, spec, filled) => {
    const { body } = await cluster.apply(manifest(kind, spec, 'default'), { dryRun: 'All' })
    expect(body.spec).toEqual(filled)
  })
})

describe('Booleans of YAML 1.1 are refused:', () => {
  const head = 'apiVersion: compute.holdfast.dev/v1alpha1\nkind: VirtualMachine\n'
  const rest = 'rootDisk: {imageRef: {name: a}}'
  test.each([
    [
      'runStrategy: on',
      `metadata: {name: x}\nspec: {memory: 1Gi, runStrategy: on, ${rest}}`,
      /spec\.runStrategy: .*expected string/,
    ],
    ['memory: yes', `metadata: {name: x}\nspec: {memory: yes, ${rest}}`, /spec\.memory: .*expected string/],
    ['name: no', `metadata: {name: no}\nspec: {memory: 1Gi, ${rest}}`, /metadata\.name.*|cannot .*bool/],
    [
      'a label that is yes',
      `metadata: {name: x}\nspec: {memory: 1Gi, ${rest}, placement: {hostSelector: {ssd: yes}}}`,
      /hostSelector\.ssd: .*expected string/,
    ],
  ])('%s', async (_name, text, sentence) => {
    await expect(
      runKubectl(['apply', '--server-side', '--dry-run=server', '--filename', '-'], head + text),
    ).rejects.toThrow(sentence)
  })
})

describe('kubectl', () => {
  test('refuses an unknown field in an ordinary apply too, and names it', async () => {
    const text =
      'apiVersion: storage.holdfast.dev/v1alpha1\nkind: Disk\nmetadata: {name: x}\nspec: {size: 1Gi, sise: 2Gi}'
    await expect(runKubectl(['apply', '--dry-run=server', '--filename', '-'], text)).rejects.toThrow(
      'unknown field "spec.sise"',
    )
  })

  test.each(kinds.map((kind) => [kind.kind, kind] as const))(
    'explains every field of a %s',
    async (_name, { group, version, kind, plural }) => {
      const { body } = await cluster.kube.send({ method: 'GET', path: `/openapi/v3/apis/${group}/${version}` })
      const name = `${group.split('.').toReversed().join('.')}.${version}.${kind}`
      const root = openApi.parse(body).components.schemas[name]
      const fields = fieldsOf(root, '')
      expect(fields.length).toBeGreaterThan(5)
      expect(fields.filter(({ description }) => description.trim() === '')).toEqual([])

      const tree = await runKubectl(['explain', `${plural}.${group}`, '--recursive'])
      for (const { path } of fields) expect(tree).toMatch(new RegExp(`^ +${path.split('.').at(-1)}\t`, 'm'))
    },
  )

  test.each([
    ['virtualmachines.spec.rootDisk.imageRef', 'Image that the root disk starts as a copy of'],
    ['hfvm.spec.cpus', 'Defaults to 1.'],
    ['hfvm.spec.disks.deleteWithVirtualMachine', 'Whether a delete of the machine takes the Disk along'],
    ['disks.storage.holdfast.dev.status.attachedTo.machineId', 'Identity of the machine'],
    ['hfsettings.spec.placement.cpuOvercommitPercent', 'Defaults to 1000.'],
  ])('explains %s', async (path, sentence) => {
    expect((await runKubectl(['explain', path])).replaceAll(/\s+/g, ' ')).toContain(sentence)
  })

  test('shows every kind by its category and its short name', async () => {
    await cluster.apply(manifest('Host', { address: 'a' }, 'shown'))
    await cluster.apply(manifest('Disk', { size: '1Gi' }, 'shown'))
    const all = await runKubectl(['get', 'holdfast', '--all-namespaces', '--output=name'])
    expect(all.split('\n')).toEqual(
      expect.arrayContaining(['host.compute.holdfast.dev/shown', 'disk.storage.holdfast.dev/shown']),
    )
    expect(await runKubectl(['get', 'hfhost', 'shown', '--output=wide'])).toMatch(
      /^NAME +READY +REASON +CPUS .*MESSAGE/,
    )
    for (const { shortNames } of kinds) {
      await expect(runKubectl(['get', shortNames[0] ?? '', '--all-namespaces'])).resolves.toBeDefined()
    }
  })
})

interface Field {
  readonly path: string
  readonly description: string
}

const schema = z.looseObject({
  get properties() {
    return z.record(z.string(), schema).optional()
  },
  get items() {
    return schema.optional()
  },
  description: z.string().optional(),
})
const openApi = z.object({ components: z.object({ schemas: z.record(z.string(), schema) }) })

/** All fields below, but for the metadata that every object has. */
function fieldsOf(node: z.infer<typeof schema> | undefined, prefix: string): Field[] {
  const inner = node?.properties ?? node?.items?.properties ?? {}
  return Object.entries(inner).flatMap(([name, child]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`
    if (path === 'metadata') return []
    return [{ path, description: child.description ?? '' }, ...fieldsOf(child, path)]
  })
}

function runKubectl(args: readonly string[], input?: string): Promise<string> {
  const home = { HOME: cache, PATH: '/usr/bin:/bin' }
  return kubectl({ program: inject('kubectl'), kubeconfig: inject('kubeconfig'), cache, env: home }, args, input)
}

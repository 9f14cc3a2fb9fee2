import { describe, expect, test } from 'vitest'
import { Disk } from '../crds/disk.ts'
import { Image } from '../crds/image.ts'
import type { Kind, Resource } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { machine, meta } from '../crds/testing/objects.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import { MAX_DISK_MANIFEST_BYTES, MAX_MANIFEST_BYTES, storedBytes, toRecycledManifest } from './recycled-manifest.ts'

const MIB = 1024 * 1024
/** One character that is stored as six. */
const WORST = '<'

type Schema = ReturnType<Kind['spec']['toJSONSchema']>

/** The longest value that a schema takes. */
function longest(schema: Schema): unknown {
  const { type, items, enum: words, maxLength = 64, maxItems = 0 } = schema
  if (words) return words.toSorted((a, b) => String(b).length - String(a).length)[0]
  if (type === 'object') return longestObject(schema)
  if (type === 'array') return Array.from({ length: maxItems }, () => longest(items as Schema))
  return type === 'string' ? WORST.repeat(maxLength) : 2 ** 52
}

function longestObject({ properties = {} }: Schema): object {
  const fields = Object.entries(properties).map(([name, field]) => [name, longest(field as Schema)] as const)
  if (fields.length > 0) return Object.fromEntries(fields)
  // A map.
  return Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`${'k'.repeat(300)}${i}`, WORST.repeat(63)]))
}

function worst(kind: Kind): Resource {
  const spec = longest(kind.spec.toJSONSchema({ target: 'openapi-3.0', io: 'input' })) as Resource['spec']
  const name = 'n'.repeat(253)
  return {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: meta(name, { namespace: name }),
    spec,
  }
}

describe('A manifest in the recycle bin', () => {
  test('is what can be applied again, and nothing that a delete or the API server added', () => {
    const annotations = {
      note: 'mine',
      'holdfast.dev/confirm-delete': '01234567',
      'holdfast.dev/recovered-from': '00000000-0000-4000-8000-000000000000',
      'holdfast.dev/on-name-reuse': 'Restore',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
    }
    const kept = {
      note: 'mine',
      'holdfast.dev/on-name-reuse': 'Restore',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
    }
    const vm = machine({}, { annotations, labels: { app: 'shop' }, deletionTimestamp: '2026-01-01T00:00:00Z' })
    const metadata = { ...vm.metadata, ownerReferences: [{ name: 'owner' }] }
    expect(toRecycledManifest({ ...vm, metadata, status: { host: 'host-a' } }, MAX_MANIFEST_BYTES)).toEqual({
      apiVersion: vm.apiVersion,
      kind: 'VirtualMachine',
      metadata: { name: 'web', namespace: 'shop', labels: { app: 'shop' }, annotations: kept },
      spec: vm.spec,
    })
  })

  test.each([
    [VirtualMachine, MAX_MANIFEST_BYTES],
    [Image, MAX_MANIFEST_BYTES],
    [Disk, MAX_MANIFEST_BYTES],
    [Disk, MAX_DISK_MANIFEST_BYTES],
  ])('has room for the longest spec that the schema takes: %#', (kind, maxBytes) => {
    const object = worst(kind)
    const manifest = toRecycledManifest(object, maxBytes)
    expect(manifest.spec).toEqual(object.spec)
    expect(storedBytes(manifest)).toBeLessThanOrEqual(maxBytes)
  })

  test('loses the longest annotations and labels where it is too long, and the short ones stay', () => {
    const annotations = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`a${i}`, WORST.repeat(6_000)]))
    const labels = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`l${i}`, 'x'.repeat(63)]))
    const vm = machine({}, { annotations: { ...annotations, small: 'yes' }, labels: { ...labels, app: 'shop' } })
    const manifest = toRecycledManifest(vm, MAX_MANIFEST_BYTES)
    expect(storedBytes(manifest)).toBeLessThanOrEqual(MAX_MANIFEST_BYTES)
    expect(manifest.metadata.labels).toMatchObject({ app: 'shop' })
    expect(manifest.metadata.annotations).toMatchObject({ small: 'yes' })
  })

  test('is refused when the spec is too long, and not cut', () => {
    const vm = machine({ machineType: 'x'.repeat(600_000) })
    expect(() => toRecycledManifest(vm, MAX_MANIFEST_BYTES)).toThrow(RangeError)
  })
})

test('RecycledResource fits into etcd whatever it stands for', () => {
  const name = 'n'.repeat(253)
  const uuid = '00000000-0000-4000-8000-000000000000'
  const time = '2026-01-01T00:00:00.000Z'
  const disk = { name, uid: uuid, id: uuid, dataStorage: name, size: '9'.repeat(16) }
  const contents = {
    machineId: uuid,
    host: name,
    disks: Array.from({ length: 17 }, () => disk),
    snapshots: Array.from({ length: 256 }, () => ({ name })),
    addresses: Array.from({ length: 64 }, () => ({ mac: 'm'.repeat(17), ip: 'i'.repeat(45) })),
    manifest: {},
  }
  const spec = {
    resource: { apiVersion: 'a'.repeat(128), kind: 'VirtualMachine', namespace: name, name, uid: uuid },
    deletion: { by: WORST.repeat(512), at: time, policy: 'Delayed', retention: '9999d', purgeAt: time },
    contents,
    action: 'Recover',
    recoverAs: { namespace: name.slice(0, 63), name },
  }
  expect(RecycledResource.spec.safeParse(spec).error).toBeUndefined()
  const manifests = MAX_MANIFEST_BYTES + 17 * MAX_DISK_MANIFEST_BYTES
  // Conditions, and what the API server notes of who wrote what.
  const status = 32 * 1024 + 8 * 2048
  expect(storedBytes(spec) + manifests + status).toBeLessThan(MIB)
})

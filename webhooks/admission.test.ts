import { describe, expect, test, vi } from 'vitest'
import { disk } from '../crds/testing/objects.ts'
import type { Call, Reply } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { validate, type JudgeSources } from './admission.ts'
import { newBatches } from './batches.ts'
import { newCaches } from './caches.ts'
import { countDeletes } from './count-deletes.ts'
import { parseReview, type AdmissionRequest } from './review.ts'

function deleteOf(resource: object, oldObject: object): AdmissionRequest {
  const request = { uid: 'r', resource, operation: 'DELETE', userInfo: { username: 'bob' }, oldObject }
  return parseReview({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request })
}

/** Asks an API server that answers so. */
function sourcesWith(answer: (call: Call) => Promise<object>): JudgeSources {
  const send = async <T>(call: Call) => (await answer(call)) as Reply<T>
  const now = () => new Date('2026-01-01T00:00:00Z')
  return { kube: { send }, caches: newCaches(), now, brakes: newBatches(countDeletes) }
}

describe('A namespace goes although it cannot be written down who deletes it', () => {
  const request = deleteOf(
    { group: '', version: 'v1', resource: 'namespaces' },
    { metadata: { name: 'shop', uid: 'u' } },
  )
  const refused = async () => {
    throw new KubeError('Forbidden', 'holdfast-system is being terminated')
  }

  test.each([
    ['because the API server refuses it', refused],
    ['because the API server cannot be asked', async () => Promise.reject(new Error('there is no network'))],
  ])('[DEL-14] %s', async (_, answer) => {
    const told: unknown[] = []
    const sources = { ...sourcesWith(answer), onUnrecorded: (error: unknown) => told.push(error) }
    expect(await validate(sources, request)).toEqual({ warnings: [] })
    expect(told).toEqual([expect.any(Error)])
    sources.caches.disks.put(disk('data'))
    expect(await validate(sources, request)).toEqual({
      warnings: [
        'with namespace shop, 1 Disk is put into the recycle bin',
        expect.stringContaining('can be brought back'),
        'that bob deletes it could not be written down: the recycle bin will name the namespace controller instead',
      ],
    })
  })

  test('[DEL-14] because the API server does not answer in time: within 2 s', async () => {
    vi.useFakeTimers()
    try {
      const verdict = validate(
        sourcesWith(async () => new Promise(() => undefined)),
        request,
      )
      await vi.advanceTimersByTimeAsync(2_000)
      expect(await verdict).toEqual({ warnings: [] })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('A CustomResourceDefinition of ours', () => {
  const request = deleteOf(
    { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions' },
    {
      metadata: { name: 'recycledresources.platform.holdfast.dev' },
      spec: { group: 'platform.holdfast.dev', names: { plural: 'recycledresources' } },
    },
  )
  const listing = (items: readonly object[], remainingItemCount?: number) =>
    sourcesWith(async ({ path, query }) => {
      // Without a resourceVersion the API server asks etcd.
      expect([path, query]).toEqual(['/apis/platform.holdfast.dev/v1alpha1/recycledresources', { limit: 1 }])
      return { body: { items, metadata: { remainingItemCount } } }
    })

  test.each([
    ['1 object', listing([{}])],
    ['42 objects', listing([{}], 41)],
  ])('[DEL-21] is not deleted while there is %s, whether a watch has told of it or not', async (number, sources) => {
    expect((await validate(sources, request)).refusal).toEqual({
      reason: 'InUse',
      message: `the CustomResourceDefinition recycledresources.platform.holdfast.dev has ${number}, which would be deleted with it: recover or purge these first (spec.action)`,
    })
  })

  test('[DEL-21] goes once there is none', async () => {
    expect(await validate(listing([]), request)).toEqual({})
  })

  test('[DEL-21] is not judged where nobody can tell', async () => {
    const away = sourcesWith(async () => Promise.reject(new KubeError('Unreachable', 'there is no network')))
    await expect(validate(away, request)).rejects.toThrow('there is no network')
  })
})

import { expect, test } from 'vitest'
import { platformSettings } from '../../crds/testing/objects.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { platformSettingsReconciler } from './reconciler.ts'

test('PlatformSettings are ready as soon as they are seen, and then nothing is written', async () => {
  const store = new FakeStore(platformSettings())
  await store.reconcile(platformSettingsReconciler(), 4)
  expect(store.condition('Ready')).toMatchObject({ status: 'True', observedGeneration: 1 })
  expect([store.writes, store.events]).toEqual([1, ['Normal Ready']])
})

test('PlatformSettings that were changed say which generation was seen', async () => {
  const store = new FakeStore(platformSettings())
  await store.reconcile(platformSettingsReconciler())
  store.change(({ metadata }) => void (metadata.generation = 2))
  await store.reconcile(platformSettingsReconciler())
  expect(store.stored?.status?.observedGeneration).toBe(2)
})

import type { InspectedImage } from '../../agent/contract.ts'
import type { Image } from '../../crds/image.ts'
import { image } from '../../crds/testing/objects.ts'
import type { Next } from '../../lib/reconcile/reconcile.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost, type FakeHost } from '../fleet/testing.ts'
import { FakeBin } from '../recycle-bin/fake-bin.ts'
import { imageReconciler } from './reconciler.ts'

const MI = 2 ** 20

/** What a host answers that has the file; its digest is 64 times the letter. */
export function verified(letter: string): InspectedImage {
  return { state: 'Verified', sha256: letter.repeat(64), sizeBytes: 10 * MI, virtualSizeBytes: 64 * MI }
}

/** One image and two hosts, all in memory. */
export class World {
  readonly a = fakeHost('host-a')
  readonly b = fakeHost('host-b')
  hosts: FakeHost[] = [this.a, this.b]
  readonly store: FakeStore<Image>

  nowMs = 0
  allowedNetworks: string[] = []
  maxImageSize = '64Gi'
  bundle: string | undefined
  withoutStorage: string[] = []
  others: Image[] = []
  readonly recycled = new FakeBin()

  readonly #reconciler = imageReconciler({
    fleet: { ...fakeFleet(), get: (name) => this.hosts.find((host) => host.name === name), all: () => this.hosts },
    clock: { monotonicMs: () => this.nowMs },
    settings: () => ({ allowedNetworks: this.allowedNetworks, maxImageSize: this.maxImageSize }),
    hasStorage: (host) => !this.withoutStorage.includes(host),
    downloadedAs: () => this.others,
    bin: this.recycled.bin,
    configMapValue: async (_namespace, name, key) => (name === 'company' && key === 'ca.crt' ? this.bundle : undefined),
  })

  constructor(spec: Partial<Image['spec']> = {}) {
    const { status: _, ...made } = image({}, spec)
    this.store = new FakeStore<Image>(made)
  }

  reconcile(times = 1): Promise<Next> {
    return this.store.reconcile(this.#reconciler, times)
  }

  settle(): Promise<Next> {
    return this.store.settle(this.#reconciler)
  }
}

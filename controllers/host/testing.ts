import { host as newHost } from '../../crds/testing/objects.ts'
import type { Host } from '../../crds/host.ts'
import { FakeStore } from '../fleet/fake-store.ts'
import { fakeFleet, fakeHost } from '../fleet/testing.ts'
import { hostReconciler } from './reconciler.ts'
import type { Deps } from './scope.ts'

/** One Host object and its agent, in memory. */
export class World {
  readonly store: FakeStore<Host> = new FakeStore(newHost())
  readonly host = fakeHost('host-a')
  /** Machine ids that a VirtualMachine on the host has. */
  readonly owned = new Set<string>()
  /** What was told of single machines, oldest first. */
  readonly told: string[] = []
  reconciler = hostReconciler(this.#newDeps())

  /** A controller that starts anew forgets all that it kept in memory. */
  restart(): void {
    this.reconciler = hostReconciler(this.#newDeps())
  }

  /** Lets time pass, and reconciles as often as the controller then would. */
  async pass(ms: number): Promise<void> {
    await this.store.reconcile(this.reconciler)
    this.store.nowMs += ms
    await this.store.reconcile(this.reconciler)
  }

  #newDeps(): Deps {
    return {
      fleet: fakeFleet(this.host),
      isOwned: ({ id }) => this.owned.has(id),
      clock: { now: () => this.store.now(), monotonicMs: () => this.store.nowMs },
      emit: (_host, { type, reason, message }) => void this.told.push(`${type} ${reason} ${message}`),
      unowned: new Map(),
    }
  }
}

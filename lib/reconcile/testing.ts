import type { Resource } from '../../crds/kind.ts'
import { Budgets } from '../budgets.ts'
import { mergePatch, patched } from '../json.ts'
import { FakeClock } from '../queue/testing.ts'
import type { Outcome } from './outcome.ts'
import { DETAILS, reconcile, type Reconciler, type StatusOf } from './reconcile.ts'
import type { Phase } from './run-phases.ts'

export type Status = StatusOf<Resource>
export interface Scope {
  readonly object: Resource
  readonly status: Status
}

/** One object and everything that happens to it, in the order in which it does. */
export class World {
  readonly clock = new FakeClock()
  readonly log: string[] = []
  readonly waitingSince = new Map<string, number>()
  readonly details = new Budgets({ clock: this.clock, ...DETAILS })
  stored: Resource | undefined
  conflict = false

  constructor(object: Resource | undefined) {
    this.stored = object
  }

  async reconcile(reconciler: Partial<Reconciler<Resource, Scope>>) {
    const open = (object: Resource): Scope => ({ object, status: (object.status ??= {}) })
    return reconcile('shop/a', { phases: [], open, ...reconciler }, this.#env())
  }

  ready(): unknown {
    const { status, reason } = this.stored?.status?.conditions?.find(({ type }) => type === 'Ready') ?? {}
    return status && `${status} ${reason}`
  }

  /** A phase that leaves a trace outside, and ends as told. */
  phase(condition: string, outcome: Outcome | Error | ((scope: Scope) => Outcome)): Phase<Scope> {
    return {
      condition,
      run: (scope) => {
        this.log.push(condition)
        if (outcome instanceof Error) throw outcome
        return typeof outcome === 'function' ? outcome(scope) : outcome
      },
    }
  }

  #env() {
    const store = (object: Resource) => {
      if (this.conflict) throw new Error('conflict')
      const resourceVersion = String(Number(object.metadata.resourceVersion) + 1)
      this.stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion } })
      return structuredClone(this.stored)
    }
    const writer = {
      changeStatus: async (before: Resource, { from, to }: { from: Status; to: Status }) => {
        this.log.push('write')
        const status: Status = this.stored?.status ?? {}
        return store({ ...before, status: patched(status, mergePatch(from, to)) })
      },
      addFinalizer: async (before: Resource, finalizer: string) => {
        this.log.push('add finalizer')
        return store({ ...before, metadata: { ...before.metadata, finalizers: [finalizer] } })
      },
      removeFinalizer: async () => {
        this.log.push('remove finalizer')
        return (this.stored = undefined)
      },
    }
    return {
      get: () => this.stored,
      writer,
      clock: this.clock,
      emit: (_: Resource, { type, reason }: { type: string; reason: string }) =>
        void this.log.push(`${type} ${reason}`),
      waitingSince: this.waitingSince,
      details: this.details,
    }
  }
}

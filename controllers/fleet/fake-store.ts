import type { Condition } from '../../crds/common.ts'
import type { Resource } from '../../crds/kind.ts'
import { Budgets } from '../../lib/budgets.ts'
import { mergePatch, patched } from '../../lib/json.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import {
  DETAILS,
  reconcile,
  type Env,
  type Next,
  type Reconciler,
  type StatusOf,
} from '../../lib/reconcile/reconcile.ts'

/** One object, as an API server would keep it, and what its controller does with it. The clock stands still until it is moved. */
export class FakeStore<R extends Resource> {
  stored: R | undefined
  /** Status writes that were accepted. */
  writes = 0
  nowMs = 0
  /** What the next status writes do instead of storing, until it is taken away. */
  crash: Error | undefined
  /** Called before and after each write to the API server; what it throws is thrown. */
  fault: (what: string) => void = () => undefined
  readonly events: string[] = []
  /** Merge patches of the status that were accepted, the latest last. */
  readonly patches: Record<string, unknown>[] = []
  readonly #onChange: (before: R | undefined, after: R | undefined) => void
  readonly #waitingSince = new Map<string, number>()
  readonly #details = new Budgets({ clock: { monotonicMs: () => this.nowMs }, ...DETAILS })

  constructor(object: R, onChange: (before: R | undefined, after: R | undefined) => void = () => undefined) {
    this.#onChange = onChange
    this.put(object)
  }

  /** Stores it, as a user's write would. */
  put(object: R | undefined): void {
    const before = this.stored
    this.stored = object && asJson(object)
    this.#onChange(before, this.stored)
  }

  /** Changes what is stored, as a user's write would. */
  change(edit: (object: R) => void): void {
    const next = structuredClone(this.stored)
    if (!next) throw new Error('the object is gone')
    edit(next)
    this.put(next)
  }

  /** The wall clock. */
  now(): Date {
    return new Date(Date.parse('2026-01-01T00:00:00Z') + this.nowMs)
  }

  async reconcile<Scope>(reconciler: Reconciler<R, Scope>, times = 1): Promise<Next> {
    let next: Next = {}
    for (let i = 0; i < times; i++) next = await reconcile('key', reconciler, this.#env())
    return next
  }

  /** Reconciles until a wait is old enough to be told. */
  async settle<Scope>(reconciler: Reconciler<R, Scope>): Promise<Next> {
    await this.reconcile(reconciler, 2)
    this.nowMs += 2_000
    return this.reconcile(reconciler, 2)
  }

  condition(wanted: string): Condition | undefined {
    return this.stored?.status?.conditions?.find(({ type }) => type === wanted)
  }

  #patchStatus(patch: Record<string, unknown>): R {
    const { stored } = this
    if (!stored) throw new KubeError('NotFound', 'the object is gone')
    this.writes++
    this.patches.push(asJson(patch))
    const status: StatusOf<R> = stored.status ?? {}
    this.put({ ...stored, status: patched(status, patch) })
    return frozen(structuredClone(this.stored ?? stored))
  }

  #env(): Env<R> {
    return {
      get: () => frozen(structuredClone(this.stored)),
      clock: {
        now: () => this.now(),
        monotonicMs: () => this.nowMs,
        sleep: () => Promise.resolve(),
      },
      emit: (_object, { type, reason }) => void this.events.push(`${type} ${reason}`),
      waitingSince: this.#waitingSince,
      details: this.#details,
      writer: {
        changeStatus: async (before, { from, to }) => {
          const patch = mergePatch(from, to)
          if (Object.keys(patch).length === 0) return before
          if (this.crash) throw this.crash
          this.fault('before write')
          const stored = this.#patchStatus(patch)
          this.fault('after write')
          return stored
        },
        addFinalizer: async (before) => before,
        removeFinalizer: async () => {
          this.put(undefined)
          return undefined
        },
      },
    }
  }
}

/** As it comes back from an API server: what is undefined is not there. */
function asJson<T>(value: T): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- What goes through JSON keeps its type but for that.
  return JSON.parse(JSON.stringify(value)) as T
}

/** A reconcile that would change what is in the cache fails. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(frozen)
  return value
}

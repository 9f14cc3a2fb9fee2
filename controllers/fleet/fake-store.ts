import type { Condition } from '../../crds/common.ts'
import type { Resource } from '../../crds/kind.ts'
import { Budgets } from '../../lib/budgets.ts'
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
  /** What the controller applied as its own part of the status, the latest last. */
  readonly applied: StatusOf<R>[] = []
  readonly #onChange: (before: R | undefined, after: R | undefined) => void
  /** Status fields of another manager, which an apply leaves as they are. */
  readonly #foreign: (object: R) => Partial<StatusOf<R>>
  readonly #waitingSince = new Map<string, number>()
  readonly #details = new Budgets({ clock: { monotonicMs: () => this.nowMs }, ...DETAILS })

  constructor(
    object: R,
    onChange: (before: R | undefined, after: R | undefined) => void = () => undefined,
    foreign: (object: R) => Partial<StatusOf<R>> = () => ({}),
  ) {
    this.#onChange = onChange
    this.#foreign = foreign
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
        changeStatus: async (before, { to: status }) => {
          if (this.crash) throw this.crash
          this.fault('before write')
          this.writes++
          this.applied.push(asJson(status))
          this.put({ ...before, status: { ...this.#foreign(before), ...status } })
          this.fault('after write')
          return frozen(structuredClone(this.stored ?? before))
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

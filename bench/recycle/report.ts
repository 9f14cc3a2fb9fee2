import { median, printer, round } from '../statistics.ts'
import { isKept } from '../writes.ts'

/** In their order. */
export const STEPS = ['create', 'delete', 'recover', 'purge'] as const
type StepName = (typeof STEPS)[number]

/** What was done with all machines at once. */
export interface Step {
  readonly seconds: number
  /** By verb and resource. */
  readonly writes: ReadonlyMap<string, number>
}

export interface Round extends Readonly<Record<StepName, Step>> {
  /** Deletes that admission had no time for, and that were sent again. */
  readonly again: number
}

export interface Outcome {
  readonly rounds: readonly Round[]
  readonly machines: number
  readonly say: (line: string) => void
}

/** Prints tables, and returns the figures. */
export function report({ rounds, machines, say }: Outcome) {
  const print = printer(say)
  const seconds = (step: StepName) => median(rounds.map((took) => took[step].seconds))
  const toCreate = (step: StepName) => median(rounds.map((took) => took[step].seconds / took.create.seconds))
  print([
    [`${machines} machines`, 'median s', 'a second', 'to create'],
    ...STEPS.map((step) => [
      step,
      round(seconds(step), 1),
      round(machines / seconds(step), 1),
      round(toCreate(step), 2),
    ]),
  ])

  const again = rounds.reduce((sum, took) => sum + took.again, 0)
  if (again > 0) say(`${again} deletes were asked to be sent again: the computer was too busy for admission`)
  const last = rounds.at(-1)
  const each = (step: StepName, key: string) => (last?.[step].writes.get(key) ?? 0) / machines
  const all = new Set(STEPS.flatMap((step) => [...(last?.[step].writes.keys() ?? [])]))
  const keys = [...all].filter(isKept).toSorted()
  const writes = (step: StepName) =>
    round(
      keys.reduce((sum, key) => sum + each(step, key), 0),
      2,
    )
  print([
    ['API writes a machine', ...STEPS],
    ...keys.map((key) => [key, ...STEPS.map((step) => round(each(step, key), 2))]),
    ['all', ...STEPS.map(writes)],
  ])
  return {
    deleteSeconds: round(seconds('delete'), 1),
    recoverSeconds: round(seconds('recover'), 1),
    purgeSeconds: round(seconds('purge'), 1),
    createSeconds: round(seconds('create'), 1),
    deleteRatio: round(toCreate('delete'), 3),
    recoverRatio: round(toCreate('recover'), 3),
    deleteWritesPerVm: writes('delete'),
    recoverWritesPerVm: writes('recover'),
    purgeWritesPerVm: writes('purge'),
    createWritesPerVm: writes('create'),
    deletesAgain: again,
    machines,
    rounds: rounds.length,
  }
}

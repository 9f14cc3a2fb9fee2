import { median, printer, round } from '../statistics.ts'
import { writesFigures, writesRows, type WritesPerMachine } from '../writes.ts'

/** Milliseconds, one of each round. */
export interface Outcome {
  /** By hand, with `qemu-img`. */
  readonly floor: readonly number[]
  /** By hand, with a copy of a disk that was made before. */
  readonly copied: readonly number[]
  readonly running: readonly number[]
  readonly readied: readonly number[]
  /** Until machines ran whose disk was the first of its size. */
  readonly firsts: readonly number[]
  readonly writes: WritesPerMachine
  readonly say: (line: string) => void
}

/** Prints tables, and returns the figures. Ratios are to `qemu-img` and QEMU by hand; `copyRatio` is to the copy. */
export function report({ floor, copied, running, readied, firsts, writes, say }: Outcome) {
  const [floorMs, ms, readyMs, firstMs] = [median(floor), median(running), median(readied), median(firsts)]
  const copyMs = median(copied)
  const line = (name: string, values: readonly number[]) => [
    name,
    Math.round(median(values)),
    Math.round(Math.min(...values)),
    round(median(values) / floorMs, 2),
  ]
  const print = printer(say)
  print([
    ['', 'median ms', 'best ms', 'ratio'],
    line('qemu-img and QEMU by hand', floor),
    line('a copy and QEMU by hand', copied),
    line('create to QEMU running', running),
    line('create to Ready', readied),
    line('create to QEMU running, first disk of its size', firsts),
  ])
  say(`Next to a copy by hand, which is what the host does for a size that it knows: ${round(ms / copyMs, 2)}`)
  say('')
  print(writesRows(writes))
  return {
    ratio: round(ms / floorMs, 3),
    readyRatio: round(readyMs / floorMs, 3),
    firstRatio: round(firstMs / floorMs, 3),
    copyRatio: round(ms / copyMs, 3),
    ...writesFigures(writes),
    floorMs: round(floorMs, 1),
    copyMs: round(copyMs, 1),
    ms: round(ms, 1),
    readyMs: round(readyMs, 1),
    firstMs: round(firstMs, 1),
    rounds: floor.length,
  }
}

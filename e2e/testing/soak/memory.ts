import { readFile } from 'node:fs/promises'

/** Resident memory of processes over time, in bytes. */
export class MemoryLog {
  readonly #pids: Readonly<Record<string, () => number | undefined>>
  readonly #samples = new Map<string, number[]>()

  constructor(pids: Readonly<Record<string, () => number | undefined>>) {
    this.#pids = pids
  }

  async sample(): Promise<void> {
    for (const [name, pid] of Object.entries(this.#pids)) {
      const now = pid()
      if (now !== undefined) this.#samples.set(name, [...(this.#samples.get(name) ?? []), await residentBytes(now)])
    }
  }

  /** For each process, the medians of the second and of the last quarter of its samples. */
  growth(): { name: string; earlyMiB: number; lateMiB: number }[] {
    return [...this.#samples].map(([name, samples]) => {
      const quarter = Math.max(1, Math.floor(samples.length / 4))
      const toMiB = (some: readonly number[]) => Math.round(median(some) / 2 ** 20)
      return { name, earlyMiB: toMiB(samples.slice(quarter, 2 * quarter)), lateMiB: toMiB(samples.slice(-quarter)) }
    })
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

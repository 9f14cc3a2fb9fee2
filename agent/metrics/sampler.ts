import type { Clock } from '../../lib/clock.ts'
import type { MachineMeasure } from '../machine/measure.ts'
import type { MeasuredStorage } from '../storage/space-meter.ts'
import type { HostUsage } from './host-usage.ts'

/** All that a scrape tells of a host and its machines, as of one moment. */
export interface Sample {
  readonly host: HostUsage
  readonly machines: readonly MachineMeasure[]
  readonly storages: readonly MeasuredStorage[]
}

/** Shorter than the usual 15 s between two scrapes, so that one Prometheus always sees something new. */
const FRESH_MS = 8000

/**
 * Takes samples, and tells the last one again for some seconds: however many ask, and however often, a host works for
 * one of them at a time. A failure is told to those who wait, and not kept.
 */
export function newSampler(
  take: () => Promise<Sample>,
  { monotonicMs }: Pick<Clock, 'monotonicMs'>,
  freshMs = FRESH_MS,
): () => Promise<Sample> {
  let last: { readonly sample: Promise<Sample>; readonly untilMs: number } | undefined
  return async () => {
    if (last && monotonicMs() < last.untilMs) return last.sample
    const begun = { sample: take(), untilMs: Infinity }
    last = begun
    try {
      const sample = await begun.sample
      last = { sample: begun.sample, untilMs: monotonicMs() + freshMs }
      return sample
    } catch (error) {
      last = undefined
      throw error
    }
  }
}

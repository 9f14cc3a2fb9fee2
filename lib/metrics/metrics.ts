import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import * as z from 'zod'

/** What is measured, as Prometheus calls it: units in the name, `_total` at the end of counters. */
export interface Definition<Label extends string> {
  readonly name: string
  /** One sentence for whoever reads a scrape. */
  readonly help: string
  readonly labels: readonly Label[]
}

export type Labels<Label extends string> = Readonly<Record<Label, string>>

/** One series and its value at the time of a scrape. */
export type Point<Label extends string> = readonly [labels: Labels<Label>, value: number]

export interface CounterMetric<Label extends string> {
  inc(labels: Labels<Label>, by?: number): void
  /** Ends the series. */
  remove(labels: Labels<Label>): void
}

export interface HistogramMetric<Label extends string> {
  observe(labels: Labels<Label>, value: number): void
  remove(labels: Labels<Label>): void
}

/** What is looked up when somebody asks, so that it costs nothing before. */
export interface SampledMetric<Label extends string> {
  /** Makes these all the series that there are. Of two with the same labels the last one counts. */
  replace(points: Iterable<Point<Label>>): void
}

/** A metric as it is described to people. */
export interface Description {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  readonly help: string
  readonly labels: readonly string[]
}

/** The metrics of one process, or of one simulated host of it. There is no registry that everybody shares. */
export interface Metrics {
  readonly contentType: string
  counter<Label extends string>(definition: Definition<Label>): CounterMetric<Label>
  /** `buckets` are upper bounds, in the unit of the name. */
  histogram<Label extends string>(definition: Definition<Label>, buckets: readonly number[]): HistogramMetric<Label>
  sampledGauge<Label extends string>(definition: Definition<Label>): SampledMetric<Label>
  /** Of a total that something else keeps. */
  sampledCounter<Label extends string>(definition: Definition<Label>): SampledMetric<Label>
  /** Has this done before every scrape. When it throws the scrape fails, and Prometheus says so with `up`. */
  onScrape(sample: () => void | Promise<void>): void
  /** All of them in Prometheus' text format 0.0.4. Whoever asks while that is done already gets the same text. */
  render(): Promise<string>
  describe(): Description[]
}

/** Seconds that a request or a reconcile takes: from one that has nothing to do to one that meets its time limit. */
export const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Every look wakes the process up; this often it costs nothing that can be measured. */
const LAG_RESOLUTION_MS = 100

/** Gauges whose names end as only a counter's may. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

export interface MetricsOptions {
  /** Also CPU, memory, open files, and the event loop of this process. */
  readonly ofProcess: boolean
}

/** Makes a registry, and is the only place that knows which library keeps it. */
export function newMetrics({ ofProcess }: MetricsOptions): Metrics {
  const registry = new Registry()
  const samplers: (() => void | Promise<void>)[] = []
  let rendering: Promise<string> | undefined
  if (ofProcess) addProcessMetrics(registry)

  const sample = async (): Promise<void> => {
    await Promise.all(samplers.map(async (sampler) => sampler()))
  }
  const render = async (): Promise<string> => {
    await sample()
    return registry.metrics()
  }

  return {
    contentType: registry.contentType,
    counter: (definition) => new Counter(toConfiguration(definition, registry)),
    histogram: (definition, buckets) =>
      new Histogram({ ...toConfiguration(definition, registry), buckets: [...buckets] }),
    sampledGauge(definition) {
      const gauge = new Gauge(toConfiguration(definition, registry))
      return {
        replace(points) {
          gauge.reset()
          for (const [labels, value] of points) gauge.set(labels, value)
        },
      }
    },
    sampledCounter(definition) {
      const counter = new Counter(toConfiguration(definition, registry))
      return {
        replace(points) {
          counter.reset()
          for (const [labels, value] of points) {
            counter.remove(labels)
            counter.inc(labels, value)
          }
        },
      }
    },
    onScrape(sampler) {
      samplers.push(sampler)
    },
    render() {
      rendering ??= render().finally(() => {
        rendering = undefined
      })
      return rendering
    },
    describe: () => describe(registry),
  }
}

function toConfiguration<Label extends string>({ name, help, labels }: Definition<Label>, registry: Registry) {
  return { name, help, labelNames: [...labels], registers: [registry] }
}

function addProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
}

// What is in a registry, as far as people are told of it.
const described = z.object({
  name: z.string(),
  help: z.string(),
  type: z.enum(['counter', 'gauge', 'histogram', 'summary']),
  labelNames: z.array(z.string()),
})

function describe(registry: Registry): Description[] {
  return registry.getMetricsAsArray().map((metric) => {
    const { name, help, type, labelNames: labels } = described.parse(metric)
    return { name, help, type, labels }
  })
}

import { isAbsolute } from 'node:path'
import * as z from 'zod'
import type { TlsFiles } from '../tls/server-files.ts'

const file = z.string().refine(isAbsolute, 'write an absolute path')

// Not coerced: an empty text would become 0.
const port = z.string().regex(/^\d+$/, 'write a whole number').transform(Number).pipe(z.int().max(65_535))

/** What a process is told of its metrics, for the schema of its environment. */
export const metricsEnvironment = {
  /** Without it, metrics are not served. */
  HOLDFAST_METRICS_PORT: port.optional(),
  HOLDFAST_METRICS_LISTEN: z.string().min(1).default('127.0.0.1'),
  HOLDFAST_METRICS_TLS_CERT: file.optional(),
  HOLDFAST_METRICS_TLS_KEY: file.optional(),
  /** Of the authority whose certificates readers prove themselves with. */
  HOLDFAST_METRICS_CLIENT_CA: file.optional(),
  HOLDFAST_METRICS_CLIENT_NAMES: z.string().default('holdfast-metrics'),
}

type MetricsEnvironment = z.infer<z.ZodObject<typeof metricsEnvironment>>

/** Where metrics are served, and to whom. */
export interface MetricsConfig {
  readonly listen: string
  readonly port: number
  readonly files: TlsFiles
  /** Common names of those who may read. */
  readonly readers: readonly string[]
}

/** Refuses a port without the files that it takes. `needed`: those for which the process knows no other. */
export function requireMetricsFiles(needed: readonly (keyof MetricsEnvironment)[]) {
  return (env: MetricsEnvironment, context: z.RefinementCtx): void => {
    if (env.HOLDFAST_METRICS_PORT === undefined) return
    for (const name of needed) {
      const message = 'name the file with which metrics are served, or leave out HOLDFAST_METRICS_PORT'
      if (env[name] === undefined) context.addIssue({ code: 'custom', path: [name], message })
    }
  }
}

/** Undefined where metrics are served nowhere. */
export function toMetricsConfig(env: MetricsEnvironment, otherCa?: string): MetricsConfig | undefined {
  const {
    HOLDFAST_METRICS_PORT: number,
    HOLDFAST_METRICS_TLS_CERT: certificate,
    HOLDFAST_METRICS_TLS_KEY: key,
    HOLDFAST_METRICS_CLIENT_CA: clientCa = otherCa,
  } = env
  if (number === undefined || certificate === undefined || key === undefined || clientCa === undefined) return undefined
  const readers = env.HOLDFAST_METRICS_CLIENT_NAMES.split(',').map((name) => name.trim())
  return { listen: env.HOLDFAST_METRICS_LISTEN, port: number, files: { certificate, key, clientCa }, readers }
}

import { isAbsolute } from 'node:path'
import * as z from 'zod'
import type { TlsFiles } from '../lib/tls/server-files.ts'

const file = z.string().refine(isAbsolute, 'write an absolute path')

// Not coerced: an empty text would become 0.
const port = z.string().regex(/^\d+$/, 'write a whole number').transform(Number).pipe(z.int().max(65_535))

const environment = z.object({
  HOLDFAST_KUBECONFIG: file.optional(),
  HOLDFAST_AGENT_CA: file,
  HOLDFAST_AGENT_CLIENT_CERT: file,
  HOLDFAST_AGENT_CLIENT_KEY: file,
  /** Without it, metrics are not served. */
  HOLDFAST_METRICS_PORT: port.optional(),
  HOLDFAST_METRICS_LISTEN: z.string().min(1).default('127.0.0.1'),
  HOLDFAST_METRICS_TLS_CERT: file.optional(),
  HOLDFAST_METRICS_TLS_KEY: file.optional(),
  /** Whose certificates readers prove themselves with; without it, the authority of the agents. */
  HOLDFAST_METRICS_CLIENT_CA: file.optional(),
  HOLDFAST_METRICS_CLIENT_NAMES: z.string().default('holdfast-metrics'),
  HOLDFAST_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})

export interface ControllersConfig {
  /** Without it: as kubectl or a pod finds the API server. */
  readonly kubeconfig: string | undefined
  /** Files with what the controllers and the agents prove themselves with, PEM. */
  readonly agentTls: { readonly ca: string; readonly certificate: string; readonly key: string }
  /** Where metrics are served, and to whom; undefined: nowhere. */
  readonly metrics: MetricsConfig | undefined
  readonly logLevel: string
}

export interface MetricsConfig {
  readonly listen: string
  readonly port: number
  readonly files: TlsFiles
  /** Common names of those who may read. */
  readonly readers: readonly string[]
}

/** Reads what the controllers are told by their environment. Throws one sentence a mistake, each with the variable's name. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): ControllersConfig {
  const { success, data, error } = environment.superRefine(requireServer).safeParse(env)
  if (!success) {
    const mistakes = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Error(`the controllers are not configured rightly\n${mistakes.join('\n')}`)
  }
  return {
    kubeconfig: data.HOLDFAST_KUBECONFIG,
    agentTls: {
      ca: data.HOLDFAST_AGENT_CA,
      certificate: data.HOLDFAST_AGENT_CLIENT_CERT,
      key: data.HOLDFAST_AGENT_CLIENT_KEY,
    },
    metrics: toMetricsConfig(data),
    logLevel: data.HOLDFAST_LOG_LEVEL,
  }
}

type Environment = z.infer<typeof environment>

function requireServer(env: Environment, context: z.RefinementCtx): void {
  if (env.HOLDFAST_METRICS_PORT === undefined) return
  for (const name of ['HOLDFAST_METRICS_TLS_CERT', 'HOLDFAST_METRICS_TLS_KEY'] as const) {
    const message = 'name the file with which metrics are served, or leave out HOLDFAST_METRICS_PORT'
    if (env[name] === undefined) context.addIssue({ code: 'custom', path: [name], message })
  }
}

function toMetricsConfig(env: Environment): MetricsConfig | undefined {
  const {
    HOLDFAST_METRICS_PORT: number,
    HOLDFAST_METRICS_TLS_CERT: certificate,
    HOLDFAST_METRICS_TLS_KEY: key,
    HOLDFAST_METRICS_CLIENT_CA: clientCa = env.HOLDFAST_AGENT_CA,
  } = env
  if (number === undefined || certificate === undefined || key === undefined) return undefined
  const readers = env.HOLDFAST_METRICS_CLIENT_NAMES.split(',').map((name) => name.trim())
  return { listen: env.HOLDFAST_METRICS_LISTEN, port: number, files: { certificate, key, clientCa }, readers }
}

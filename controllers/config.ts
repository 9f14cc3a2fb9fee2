import { isAbsolute } from 'node:path'
import * as z from 'zod'
import { logLevels } from '../lib/log-levels.ts'
import { metricsEnvironment, requireMetricsFiles, toMetricsConfig, type MetricsConfig } from '../lib/metrics/config.ts'

const file = z.string().refine(isAbsolute, 'write an absolute path')

const environment = z.object({
  HOLDFAST_KUBECONFIG: file.optional(),
  HOLDFAST_AGENT_CA: file,
  HOLDFAST_AGENT_CLIENT_CERT: file,
  HOLDFAST_AGENT_CLIENT_KEY: file,
  /** Readers prove themselves by the authority of the agents, unless it names another one. */
  ...metricsEnvironment,
  HOLDFAST_RELIST_SECONDS: z.coerce.number('write a number of seconds').int().min(30).max(86_400).default(600),
  HOLDFAST_PURGES_FROM: z.iso.datetime('write a time such as 2026-12-01T12:00:00Z').optional(),
  HOLDFAST_LOG_LEVEL: z.enum(logLevels).default('info'),
})

const requireServer = requireMetricsFiles(['HOLDFAST_METRICS_TLS_CERT', 'HOLDFAST_METRICS_TLS_KEY'])

export interface ControllersConfig {
  /** Without it: as kubectl or a pod finds the API server. */
  readonly kubeconfig: string | undefined
  /** Files with what the controllers and the agents prove themselves with, PEM. */
  readonly agentTls: { readonly ca: string; readonly certificate: string; readonly key: string }
  /** Where metrics are served, and to whom; undefined: nowhere. */
  readonly metrics: MetricsConfig | undefined
  /** Nothing in the recycle bin is destroyed by time before, as after a restore of older state. */
  readonly purgesFrom: Date | undefined
  /** Everything is listed anew this often, to find what was lost on the way. */
  readonly relistMs: number
  readonly logLevel: string
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
    metrics: toMetricsConfig(data, data.HOLDFAST_AGENT_CA),
    purgesFrom: data.HOLDFAST_PURGES_FROM === undefined ? undefined : new Date(data.HOLDFAST_PURGES_FROM),
    relistMs: data.HOLDFAST_RELIST_SECONDS * 1_000,
    logLevel: data.HOLDFAST_LOG_LEVEL,
  }
}

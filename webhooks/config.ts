import { isAbsolute } from 'node:path'
import * as z from 'zod'
import { logLevels } from '../lib/log-levels.ts'
import { metricsEnvironment, requireMetricsFiles, toMetricsConfig, type MetricsConfig } from '../lib/metrics/config.ts'

const file = z.string().refine(isAbsolute, 'write an absolute path')
const list = z
  .string()
  .transform((text) => text.split(',').filter((item) => item !== ''))
  .optional()

const environment = z
  .object({
    HOLDFAST_KUBECONFIG: file.optional(),
    HOLDFAST_WEBHOOKS_LISTEN: z.string().default('0.0.0.0'),
    HOLDFAST_WEBHOOKS_PORT: z.coerce.number().int().min(1).max(65_535).default(9443),
    HOLDFAST_WEBHOOKS_DNS_NAMES: list,
    HOLDFAST_WEBHOOKS_IPS: list,
    HOLDFAST_WEBHOOKS_CLIENT_CA: file.optional(),
    HOLDFAST_WEBHOOKS_CLIENT_NAMES: list,
    HOLDFAST_WEBHOOKS_PATH_FILE: file.optional(),
    ...metricsEnvironment,
    HOLDFAST_LOG_LEVEL: z.enum(logLevels).default('info'),
  })
  .refine(
    (env) => (env.HOLDFAST_WEBHOOKS_CLIENT_CA === undefined) !== (env.HOLDFAST_WEBHOOKS_PATH_FILE === undefined),
    'say how the API server is known: by HOLDFAST_WEBHOOKS_CLIENT_CA or by HOLDFAST_WEBHOOKS_PATH_FILE',
  )
  .refine(
    (env) => env.HOLDFAST_WEBHOOKS_CLIENT_CA === undefined || (env.HOLDFAST_WEBHOOKS_CLIENT_NAMES ?? []).length > 0,
    'HOLDFAST_WEBHOOKS_CLIENT_NAMES: name the common names of the API server, by commas',
  )
  .superRefine(
    requireMetricsFiles(['HOLDFAST_METRICS_TLS_CERT', 'HOLDFAST_METRICS_TLS_KEY', 'HOLDFAST_METRICS_CLIENT_CA']),
  )

const SERVICE = 'holdfast-webhooks.holdfast-system.svc'

export interface WebhooksConfig {
  /** Without it: as kubectl or a pod finds the API server. */
  readonly kubeconfig: string | undefined
  readonly listen: { readonly host: string; readonly port: number }
  /** What the API server calls us. */
  readonly names: { readonly dnsNames: readonly string[]; readonly ips: readonly string[] }
  /** Files by which the API server is known. */
  readonly caller:
    | { readonly clientCaFile: string; readonly clientNames: readonly string[] }
    | { readonly pathFile: string }
  /** Where metrics are served, and to whom; undefined: nowhere. */
  readonly metrics: MetricsConfig | undefined
  readonly logLevel: string
}

/** Reads what the webhooks are told by their environment. Throws one sentence a mistake, each with the variable's name. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): WebhooksConfig {
  const { success, data, error } = environment.safeParse(env)
  if (!success) {
    const mistakes = error.issues.map(({ path, message }) =>
      path.length > 0 ? `${path.join('.')}: ${message}` : message,
    )
    throw new Error(`the webhooks are not configured rightly\n${mistakes.join('\n')}`)
  }
  return {
    kubeconfig: data.HOLDFAST_KUBECONFIG,
    listen: { host: data.HOLDFAST_WEBHOOKS_LISTEN, port: data.HOLDFAST_WEBHOOKS_PORT },
    names: { dnsNames: data.HOLDFAST_WEBHOOKS_DNS_NAMES ?? [SERVICE], ips: data.HOLDFAST_WEBHOOKS_IPS ?? [] },
    caller: toCaller(data),
    metrics: toMetricsConfig(data),
    logLevel: data.HOLDFAST_LOG_LEVEL,
  }
}

function toCaller(data: z.output<typeof environment>): WebhooksConfig['caller'] {
  const { HOLDFAST_WEBHOOKS_CLIENT_CA: clientCaFile, HOLDFAST_WEBHOOKS_CLIENT_NAMES: clientNames = [] } = data
  if (clientCaFile !== undefined) return { clientCaFile, clientNames }
  return { pathFile: data.HOLDFAST_WEBHOOKS_PATH_FILE ?? '' }
}

import type { AgentConfig } from './config.ts'
import { FolderInUse } from './lock.ts'

const UNUSABLE: ReadonlySet<unknown> = new Set(['EACCES', 'EISDIR', 'ENOENT', 'ENOTDIR', 'EROFS'])

const variables = {
  certificate: 'HOLDFAST_AGENT_TLS_CERT',
  key: 'HOLDFAST_AGENT_TLS_KEY',
  clientCa: 'HOLDFAST_AGENT_CLIENT_CA',
  downloadDir: 'HOLDFAST_AGENT_DOWNLOAD_DIR',
  importDir: 'HOLDFAST_AGENT_IMPORT_DIR',
  runDir: 'HOLDFAST_AGENT_RUN_DIR',
  stateDir: 'HOLDFAST_AGENT_STATE_DIR',
} as const satisfies Partial<Record<keyof AgentConfig, string>>

/** Why an agent cannot start, as one sentence for what a person can help with; undefined for everything else. */
export function explainStart(error: unknown, config: AgentConfig): string | undefined {
  if (error instanceof FolderInUse) return error.message
  if (!(error instanceof Error) || !('code' in error)) return undefined
  const place = `${config.listen} port ${config.port}`
  if (error.code === 'EADDRINUSE') return `${place} is taken; stop what listens there, or set HOLDFAST_AGENT_PORT`
  if (error.code === 'EADDRNOTAVAIL') {
    return `this host does not have the address ${config.listen}; set HOLDFAST_AGENT_LISTEN to one that it has`
  }
  if (String(error.code).startsWith('ERR_OSSL_')) {
    const { certificate, key, clientCa } = variables
    return `the files in ${certificate}, ${key} and ${clientCa} are no certificate with its key and its authority (${error.message}); name PEM files that belong together`
  }
  return UNUSABLE.has(error.code) ? explainPath(error, config) : undefined
}

function explainPath(error: Error & { readonly path?: unknown }, config: AgentConfig): string {
  const variable = typeof error.path === 'string' ? variableOf(error.path, config) : undefined
  if (variable === undefined) return error.message
  return `what ${variable} names cannot be used: ${error.message}; put it there, or name another one`
}

/** The variable that a path comes from: of folders in each other, the inner one. */
function variableOf(path: string, config: AgentConfig): string | undefined {
  const keys = ['certificate', 'key', 'clientCa', 'downloadDir', 'importDir', 'runDir', 'stateDir'] as const
  const isOf = (key: (typeof keys)[number]) => path === config[key] || path.startsWith(`${config[key]}/`)
  const [inner] = keys.filter(isOf).toSorted((one, other) => config[other].length - config[one].length)
  return inner === undefined ? undefined : variables[inner]
}

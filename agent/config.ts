import { isAbsolute, join } from 'node:path'
import * as z from 'zod'
import { logLevels } from '../lib/log-levels.ts'
import { objectionToRunDir } from './paths.ts'

const folder = z.string().refine(isAbsolute, 'write an absolute path')
const file = folder
// Not coerced: an empty text would become 0.
const wholeNumber = z
  .string()
  .regex(/^\d+$/, 'write a whole number')
  .transform((text) => Number(text))

// RFC 1123, as the API server asks of it.
const hostName = z
  .string()
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'write the name of its Host: lower-case letters, digits, dashes and dots, with a letter or digit at both ends',
  )

const environment = z.object({
  HOLDFAST_AGENT_NAME: hostName,
  HOLDFAST_AGENT_STATE_DIR: folder,
  HOLDFAST_AGENT_RUN_DIR: folder.superRefine((path, context) => {
    const message = objectionToRunDir(path)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  }),
  HOLDFAST_AGENT_IMPORT_DIR: folder,
  /** For images that are downloaded. Not the import folder: nobody else may write into it. */
  HOLDFAST_AGENT_DOWNLOAD_DIR: folder.optional(),
  HOLDFAST_AGENT_LISTEN: z.string().min(1).default('127.0.0.1'),
  HOLDFAST_AGENT_PORT: wholeNumber.pipe(z.int().max(65535)).default(8444),
  HOLDFAST_AGENT_TLS_CERT: file,
  HOLDFAST_AGENT_TLS_KEY: file,
  HOLDFAST_AGENT_CLIENT_CA: file,
  HOLDFAST_AGENT_CLIENT_NAMES: z.string().default('holdfast-controllers,holdfast-local'),
  /** Who may read the metrics, and do nothing else. */
  HOLDFAST_AGENT_METRICS_NAMES: z.string().default('holdfast-metrics'),
  HOLDFAST_AGENT_QEMU: z.string().min(1).default('qemu-system-x86_64'),
  HOLDFAST_AGENT_QEMU_IMG: z.string().min(1).default('qemu-img'),
  /** First of the user ids that machines run as, where the agent runs as root. */
  HOLDFAST_AGENT_QEMU_UID_BASE: wholeNumber.pipe(z.int().min(1000).max(4_000_000_000)).default(1_879_100_000),
  /** Isolated: guests reach nothing. Open: everything that the host reaches, and the host's own loopback too. */
  HOLDFAST_AGENT_USER_NETWORK: z.enum(['Isolated', 'Open']).default('Isolated'),
  /** On: disks are read and written past the host's page cache. */
  HOLDFAST_AGENT_DIRECT_IO: z.enum(['On', 'Off']).default('Off'),
  HOLDFAST_AGENT_LOG_LEVEL: z.enum(logLevels).default('info'),
})

export type AgentConfig = ReturnType<typeof parseConfig>

/** Reads what an agent is told by its environment. Throws one sentence a mistake, each with the variable's name. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>) {
  const { success, data, error } = environment.safeParse(env)
  if (!success) {
    const mistakes = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Error(`the agent is not configured rightly\n${mistakes.join('\n')}`)
  }
  return {
    name: data.HOLDFAST_AGENT_NAME,
    stateDir: data.HOLDFAST_AGENT_STATE_DIR,
    runDir: data.HOLDFAST_AGENT_RUN_DIR,
    importDir: data.HOLDFAST_AGENT_IMPORT_DIR,
    downloadDir: data.HOLDFAST_AGENT_DOWNLOAD_DIR ?? join(data.HOLDFAST_AGENT_STATE_DIR, 'images'),
    listen: data.HOLDFAST_AGENT_LISTEN,
    port: data.HOLDFAST_AGENT_PORT,
    certificate: data.HOLDFAST_AGENT_TLS_CERT,
    key: data.HOLDFAST_AGENT_TLS_KEY,
    clientCa: data.HOLDFAST_AGENT_CLIENT_CA,
    clientNames: toNames(data.HOLDFAST_AGENT_CLIENT_NAMES),
    readerNames: toNames(data.HOLDFAST_AGENT_METRICS_NAMES),
    qemu: data.HOLDFAST_AGENT_QEMU,
    qemuImg: data.HOLDFAST_AGENT_QEMU_IMG,
    qemuUidBase: data.HOLDFAST_AGENT_QEMU_UID_BASE,
    userNetwork: data.HOLDFAST_AGENT_USER_NETWORK,
    directIo: data.HOLDFAST_AGENT_DIRECT_IO === 'On',
    logLevel: data.HOLDFAST_AGENT_LOG_LEVEL,
  }
}

function toNames(list: string): string[] {
  return list.split(',').map((name) => name.trim())
}

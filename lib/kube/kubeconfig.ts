import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { load } from 'js-yaml'
import * as z from 'zod'
import { KubeError } from './errors.ts'

const text = z.string().min(1).optional()
const flag = z.boolean().optional()

const clusterSchema = z.object({
  server: z.url({ protocol: /^https?$/ }),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': flag,
  'tls-server-name': text,
  'proxy-url': text,
})

const userSchema = z.object({
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  'as-uid': text,
  'as-groups': z.array(z.string()).optional(),
  'as-user-extra': z.record(z.string(), z.array(z.string())).optional(),
  exec: z.unknown().optional(),
  'auth-provider': z.unknown().optional(),
})

const contextSchema = z.object({ cluster: z.string(), user: z.string().optional() })

// Go writes an empty list as null.
const listOf = <S extends z.ZodType>(schema: S) =>
  z
    .array(schema)
    .nullish()
    .transform((list) => list ?? [])

const fileSchema = z.object({
  'current-context': text.or(z.literal('')),
  clusters: listOf(z.object({ name: z.string(), cluster: clusterSchema })),
  contexts: listOf(z.object({ name: z.string(), context: contextSchema })),
  users: listOf(z.object({ name: z.string(), user: userSchema.nullish() })),
})

export type Cluster = z.infer<typeof clusterSchema>
export type User = z.infer<typeof userSchema>

/** The current context of one or more kubeconfig files. File names in it are absolute. */
export interface Context {
  readonly cluster: Cluster
  readonly user: User
}

/**
 * Reads kubeconfig files as kubectl does: of entries with one name, the first file's counts.
 * Throws KubeError BadKubeconfig.
 */
export async function readKubeconfig(files: readonly string[]): Promise<Context> {
  const parsed = await Promise.all(files.map(readOne))
  const named = files.join(', ')
  const current = parsed.map((file) => file['current-context']).find((name) => name !== undefined && name !== '')
  if (current === undefined) {
    throw bad(`the kubeconfig ${named} has no current context; choose one with kubectl config use-context NAME`)
  }
  const context = parsed.flatMap(({ contexts }) => contexts).find(({ name }) => name === current)?.context
  if (!context) throw bad(`the kubeconfig ${named} lacks its current context ${current}; choose another one`)

  const cluster = parsed.flatMap(({ clusters }) => clusters).find(({ name }) => name === context.cluster)?.cluster
  if (!cluster) throw bad(`the kubeconfig ${named} lacks cluster ${context.cluster} of context ${current}; add it`)

  const user = parsed.flatMap(({ users }) => users).find(({ name }) => name === context.user)?.user ?? {}
  return { cluster, user }
}

async function readOne(file: string): Promise<z.infer<typeof fileSchema>> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw bad(`the kubeconfig ${file} cannot be read; name a file that exists and that you may read`, cause)
  })
  const parsed = fileSchema.safeParse(parseYaml(file, content))
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') ?? ''
    const at = where === '' ? '' : `: look at ${where}`
    // The cause is left out on purpose: it could quote a credential.
    throw bad(`${file} is not a kubeconfig${at}; name a file that kubectl accepts`)
  }
  return absolute(parsed.data, dirname(file))
}

function parseYaml(file: string, content: string): unknown {
  if (content.trim() === '') return {} // As /dev/null is, which turns an inherited KUBECONFIG off.
  try {
    return load(content)
  } catch {
    // Likewise: a YAML error shows the lines around it.
    throw bad(`the kubeconfig ${file} is not YAML; name a file that kubectl accepts`)
  }
}

const clusterFiles = ['certificate-authority'] as const
const userFiles = ['client-certificate', 'client-key', 'tokenFile'] as const

function absolute(file: z.infer<typeof fileSchema>, folder: string): z.infer<typeof fileSchema> {
  for (const { cluster } of file.clusters) {
    for (const name of clusterFiles) if (cluster[name] !== undefined) cluster[name] = resolve(folder, cluster[name])
  }
  for (const { user } of file.users) {
    for (const name of userFiles) if (user?.[name] !== undefined) user[name] = resolve(folder, user[name])
  }
  return file
}

function bad(message: string, cause?: unknown): KubeError {
  return new KubeError('BadKubeconfig', message, cause === undefined ? {} : { cause })
}

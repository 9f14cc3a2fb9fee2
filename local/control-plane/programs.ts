import { access, constants, stat } from 'node:fs/promises'
import { delimiter, dirname, join, resolve } from 'node:path'
import * as z from 'zod'
import { LocalError } from '../errors.ts'
import { runCommand } from '../processes/run-command.ts'
import { cacheFolder } from '../user-folders.ts'
import { buildPrograms, VERSION, type Program } from './build.ts'

const MIN_KUBECTL_MINOR = 30
// From here on MutatingAdmissionPolicy, which sets our finalizers, is served without being asked for.
const MIN_SERVER_MINOR = 36

/** Absolute paths. */
export type Programs = Readonly<Record<Program, string>>

export interface ProgramSearch {
  /** KUBEBUILDER_ASSETS, XDG_CACHE_HOME, PATH, HOME, and what a Go build reads. */
  readonly env: NodeJS.ProcessEnv
  /** A line of progress. */
  readonly say: (line: string) => void
  /** Gives up a build. */
  readonly signal?: AbortSignal
}

/**
 * Finds each program of the control plane: in KUBEBUILDER_ASSETS, for kubectl on the PATH, in Holdfast's cache. What is
 * nowhere is built with Go, which takes minutes, once. Throws `PROGRAMS_MISSING` when there is no Go either.
 */
export async function findPrograms(search: ProgramSearch): Promise<Programs> {
  await assertAssetsExist(search.env)
  const cache = join(cacheFolder(search.env), 'control-plane', VERSION, 'bin')
  const missing: Program[] = []
  const locate = async (program: Program) => {
    const path = await findProgram(program, cache, search.env)
    if (path === undefined) missing.push(program)
    return path ?? join(cache, program)
  }
  const programs = {
    etcd: await locate('etcd'),
    'kube-apiserver': await locate('kube-apiserver'),
    'kube-controller-manager': await locate('kube-controller-manager'),
    kubectl: await locate('kubectl'),
  }
  tellOfOthers(programs, search)
  if (missing.length > 0) await buildPrograms(missing, cache, search)
  await assertServerFits(programs['kube-apiserver'])
  return programs
}

/** Who names a folder with some of the programs may think that it has all. Any kubectl will do. */
function tellOfOthers({ kubectl: _any, ...servers }: Programs, { env, say }: ProgramSearch): void {
  const { KUBEBUILDER_ASSETS } = env
  if (!KUBEBUILDER_ASSETS) return
  const others = Object.values(servers).filter((path) => dirname(path) !== resolve(KUBEBUILDER_ASSETS))
  if (others.length > 0)
    say(`not all is in ${KUBEBUILDER_ASSETS} (KUBEBUILDER_ASSETS); used as well: ${others.join(', ')}`)
}

/** A kubectl of a fitting version, built if there is none: all that a cluster that exists needs from here. */
export async function findKubectl(search: ProgramSearch): Promise<string> {
  await assertAssetsExist(search.env)
  const cache = join(cacheFolder(search.env), 'control-plane', VERSION, 'bin')
  const found = await findProgram('kubectl', cache, search.env)
  if (found === undefined) await buildPrograms(['kubectl'], cache, search)
  return found ?? join(cache, 'kubectl')
}

/** Who names a folder wants its programs. Those that are not in it come from elsewhere, but a folder there must be. */
async function assertAssetsExist({ KUBEBUILDER_ASSETS }: NodeJS.ProcessEnv): Promise<void> {
  if (!KUBEBUILDER_ASSETS) return
  const isFolder = await stat(KUBEBUILDER_ASSETS).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (isFolder) return
  const next = 'name the folder with the programs of the control plane, or unset it'
  throw new LocalError('PROGRAMS_MISSING', `KUBEBUILDER_ASSETS is ${KUBEBUILDER_ASSETS}, which is no folder: ${next}`)
}

async function findProgram(program: Program, cache: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { KUBEBUILDER_ASSETS } = env
  if (KUBEBUILDER_ASSETS && (await isExecutable(join(KUBEBUILDER_ASSETS, program)))) {
    return join(KUBEBUILDER_ASSETS, program)
  }
  const onPath = program === 'kubectl' ? await findKubectlOnPath(env) : undefined
  if (onPath !== undefined) return onPath
  return (await isExecutable(join(cache, program))) ? join(cache, program) : undefined
}

async function findKubectlOnPath({ PATH = '' }: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of PATH.split(delimiter).filter((entry) => entry.startsWith('/'))) {
    const path = join(folder, 'kubectl')
    if ((await isExecutable(path)) && (await kubectlMinor(path)) >= MIN_KUBECTL_MINOR) return path
  }
  return undefined
}

const kubectlVersion = z.object({ clientVersion: z.object({ major: z.string(), minor: z.string() }) })

/** Minor version of a kubectl 1.x; 0 when it does not say. */
async function kubectlMinor(path: string): Promise<number> {
  const { code, stdout } = await runCommand({
    command: path,
    args: ['version', '--client', '--output=json'],
    timeoutMs: 10_000,
  }).catch(() => ({ code: 1, stdout: '' })) // A folder of that name, or a program that hangs.
  return code === 0 ? toMinor(stdout) : 0
}

function toMinor(json: string): number {
  try {
    const { major, minor } = kubectlVersion.parse(JSON.parse(json)).clientVersion
    return major === '1' ? Number.parseInt(minor, 10) : 0
  } catch {
    return 0 // Another program of that name.
  }
}

async function assertServerFits(path: string): Promise<void> {
  const { stdout } = await runCommand({ command: path, args: ['--version'], timeoutMs: 10_000 })
  const minor = Number(/v1\.(\d+)/.exec(stdout)?.[1] ?? 0)
  if (minor >= MIN_SERVER_MINOR) return
  throw new LocalError(
    'PROGRAMS_MISSING',
    `${path} says that it is "${stdout.trim()}", and Holdfast needs 1.${MIN_SERVER_MINOR} or newer; unset KUBEBUILDER_ASSETS to have ${VERSION} built`,
  )
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { kinds } from '../../crds/index.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { Kube, type Call, type Reply } from '../../lib/kube/client.ts'
import { isKubeError } from '../../lib/kube/errors.ts'
import { collectionPath, objectPath } from '../../lib/kube/paths.ts'
import { writeBootSector } from '../../lib/testing/boot-sector.ts'
import type { Manifest } from './manifests.ts'

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const MAIN = join(import.meta.dirname, '..', '..', 'local', 'main.ts')
export const SAMPLES = join(import.meta.dirname, '..', '..', 'config', 'samples')
/** In the import folder: a guest that boots at once, whatever the platform's sample machine boots. */
export const SECTOR = 'sector.qcow2'
const SAMPLE_MACHINE = 'hello'
const COMMAND_MS = 240_000
const SLOW_MS = 120_000
/** What is waited for by default. */
export const SHORT_MS = 60_000
/** Each look costs the API server as much as a write does. */
const POLL_MS = 400
const EVENTS = { group: 'events.k8s.io', version: 'v1', scope: 'Namespaced' } as const

const object = z.looseObject({
  /** Built-in kinds leave it out of lists. */
  kind: z.string().default(''),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    resourceVersion: z.string(),
    uid: z.string(),
    generation: z.int().optional(),
  }),
  status: z
    .looseObject({
      conditions: z
        .array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string(),
            message: z.string(),
            observedGeneration: z.int().optional(),
          }),
        )
        .default([]),
      id: z.string().optional(),
      machineId: z.string().optional(),
      host: z.string().optional(),
      printableStatus: z.string().optional(),
    })
    .optional(),
})
export type Found = z.infer<typeof object>

const state = z.object({
  supervisor: z.object({ pid: z.int() }),
  programs: z.record(z.string(), z.object({ pid: z.int() }).nullable()),
})

/** A platform as a user has it: a folder, two commands and kubectl. */
export class Platform implements AsyncDisposable {
  readonly home: string
  readonly #env: NodeJS.ProcessEnv
  #kube: Promise<Kube> | undefined

  constructor(home: string, env: NodeJS.ProcessEnv = {}) {
    this.home = home
    this.#env = { ...process.env, ...env, HOLDFAST_HOME: home }
  }

  /** `npm start -- --detach`, with these options besides. */
  async start(...options: string[]): Promise<Result> {
    return this.local('start', '--detach', ...options)
  }

  /** The same. Throws what it says when it does not start. */
  async mustStart(...options: string[]): Promise<void> {
    const { code, stdout, stderr } = await this.start(...options)
    if (code !== 0) throw new Error(`${stdout}${stderr}`)
  }

  /** One of the project's own commands. */
  async local(...args: string[]): Promise<Result> {
    return run(process.execPath, [MAIN, ...args], this.#env)
  }

  get kubeconfig(): string {
    return join(this.home, 'kubeconfig')
  }

  async kubectl(...args: string[]): Promise<Result> {
    return run('kubectl', ['--kubeconfig', this.kubeconfig, ...args], this.#env)
  }

  /** Deletes what wants to be confirmed, with the command that the refusal prints. */
  async deleteConfirmed(kind: string, name: string): Promise<Result> {
    const { stderr } = await this.kubectl('delete', kind, name)
    const [, command = ''] = /run: kubectl (.+), and delete it again/.exec(stderr) ?? []
    await this.kubectl(...command.split(' '))
    return this.kubectl('delete', kind, name)
  }

  /** Applies manifests as a user would. Throws what kubectl says if it is refused. */
  async apply(...manifests: object[]): Promise<string> {
    const result = await this.tryApply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }))
    if (result.code !== 0) throw new Error(result.stderr)
    return result.stdout
  }

  /** Applies manifests on the server's side, as an engine does: for tests that do so hundreds of times. Throws KubeError. */
  async put(...manifests: readonly Manifest[]): Promise<void> {
    for (const manifest of manifests) {
      const { apiVersion, kind: wanted, metadata } = manifest
      const kind = kinds.find((each) => each.kind === wanted && apiVersion === `${each.group}/${each.version}`)
      if (!kind) throw new Error(`there is no ${wanted} of ${apiVersion}`)
      const query = { fieldManager: 'engine', force: 'true' }
      await this.send({
        method: 'PATCH',
        path: objectPath(kind, metadata),
        query,
        contentType: 'application/apply-patch+yaml',
        body: manifest,
      })
    }
  }

  /** Deletes an object, as kubectl does that does not wait. Throws KubeError, but not when there is none. */
  async remove(plural: string, name: string): Promise<void> {
    await this.send({ method: 'DELETE', path: pathOf(plural, name) }).catch((error: unknown) => {
      if (!isKubeError(error, 'NotFound')) throw error
    })
  }

  /** Changes an object by a merge patch. Throws KubeError. */
  async change(plural: string, name: string, body: object): Promise<void> {
    const contentType = 'application/merge-patch+json'
    await this.send({ method: 'PATCH', path: pathOf(plural, name), contentType, body })
  }

  /** Has the defaults hold again. */
  async resetSettings(): Promise<void> {
    if (!(await this.get('platformsettings', 'default'))) return
    const body = { spec: { deletion: null } }
    const path = objectPath(PlatformSettings, { name: 'default' })
    await this.send({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
    await this.remove('platformsettings', 'default')
  }

  /** Takes away what tests made, for those that come next: machines but the sample, and settings. The bin stays as it is. */
  async clear(): Promise<void> {
    await this.resetSettings()
    const made = async () =>
      (await this.list('virtualmachines')).filter(({ metadata: { name } }) => name !== SAMPLE_MACHINE)
    for (const { metadata } of await made()) {
      await this.send({ method: 'DELETE', path: objectPath(VirtualMachine, metadata) })
    }
    await eventually(async () => (await made()).length === 0)
  }

  async tryApply(text: string, ...options: string[]): Promise<Result> {
    const args = ['--kubeconfig', this.kubeconfig, 'apply', ...options, '--filename', '-']
    return run('kubectl', args, this.#env, text)
  }

  /** All objects of a kind, in one namespace or in all. Asked for again and again, so not by way of kubectl. */
  async list(plural: string, namespace?: string, query: NonNullable<Call['query']> = {}): Promise<Found[]> {
    const kind = kinds.find((each) => each.plural === plural) ?? { ...EVENTS, plural }
    const { body } = await this.send({ method: 'GET', path: collectionPath(kind, namespace), query })
    return z.object({ items: z.array(object) }).parse(body).items
  }

  /** What kubectl has no words for, or is too slow for. Throws KubeError. */
  async send<T>(call: Call): Promise<Reply<T>> {
    this.#kube ??= Kube.connect(this.kubeconfig)
    return (await this.#kube).send<T>(call)
  }

  async get(plural: string, name: string): Promise<Found | undefined> {
    return (await this.list(plural, undefined, { fieldSelector: `metadata.name=${name}` }))[0]
  }

  /** The object, once it is Ready. */
  async ready(plural: string, name: string, timeoutMs = SLOW_MS): Promise<Found> {
    return eventually(async () => {
      const found = await this.get(plural, name)
      return isReady(found) && found
    }, timeoutMs)
  }

  /** Waits until a machine has booted so often: its guest counts that on its disk. */
  async booted(vm: string, times: number): Promise<void> {
    await eventually(async () => (await this.serialLog(vm)).includes(`holdfast-guest: boots ${times}\r\n`), SLOW_MS)
  }

  /** Processes that it runs now, by name. */
  async pid(program: string): Promise<number> {
    const { supervisor, programs } = state.parse(JSON.parse(await readFile(join(this.home, 'platform.json'), 'utf8')))
    const pid = program === 'supervisor' ? supervisor.pid : programs[program]?.pid
    if (pid === undefined) throw new Error(`${program} does not run`)
    return pid
  }

  /** As kill -9 does; of a program that is just being started again, once it runs. */
  async kill(program: string): Promise<void> {
    await eventually(async () => {
      try {
        return process.kill(await this.pid(program), 'SIGKILL')
      } catch {
        return false // It does not run yet, or no more.
      }
    })
  }

  async serialLog(vm: string): Promise<string> {
    const found = await this.get('virtualmachines', vm)
    return readFile(join(this.home, 'agent', 'serial', `${found?.status?.machineId}.log`), 'utf8').catch(() => '')
  }

  /** Connects anew when it is next asked, as after a restart with other certificates. */
  async forget(): Promise<void> {
    await (await this.#kube)?.close()
    this.#kube = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.forget()
    await this.local('stop')
    await rm(this.home, { recursive: true, force: true })
  }
}

function pathOf(plural: string, name: string): string {
  const kind = kinds.find((each) => each.plural === plural)
  if (!kind) throw new Error(`there are no ${plural}`)
  return objectPath(kind, { name, ...(kind.scope === 'Namespaced' && { namespace: 'default' }) })
}

export interface PlatformOptions {
  readonly env?: NodeJS.ProcessEnv
  /** What its sample machine boots: a sector that boots at once, unless the test wants a system. */
  readonly guest?: 'Linux'
}

/** A platform in a folder of its own that is gone afterwards. It is not started yet. */
export async function newPlatform({ env, guest }: PlatformOptions = {}): Promise<Platform> {
  const home = await mkdtemp(join(tmpdir(), 'hf-'))
  await chmod(home, 0o711)
  const imports = join(home, 'import')
  await mkdir(imports)
  const raw = join(home, 'guest.raw')
  await writeBootSector(raw)
  await toQcow2(raw, join(imports, SECTOR))
  // The first start finds its image there, and makes none.
  if (guest !== 'Linux') await copyFile(join(imports, SECTOR), join(imports, 'holdfast-guest.qcow2'))
  return new Platform(home, env)
}

/** Makes an image of a disk's bytes, which are gone afterwards. */
export async function toQcow2(raw: string, image: string): Promise<void> {
  const { code, stderr } = await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, image], process.env)
  if (code !== 0) throw new Error(stderr)
  await rm(raw)
}

/** Runs a program to its end, whatever its exit code. */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input?: string,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: COMMAND_MS, killSignal: 'SIGKILL', maxBuffer: 64 * 2 ** 20 } as const
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error ? error.code : 0
      if (typeof code === 'number') resolve({ code, stdout, stderr })
      else reject(new Error(`${command} ${args.join(' ')} did not end by itself: ${stderr}`, { cause: error }))
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input ?? '')
  })
}

/** The value once it is there; throws with the last thing seen when that takes too long. */
export async function eventually<T>(look: () => Promise<T | undefined | false>, timeoutMs = SHORT_MS): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`not seen within ${timeoutMs} ms: ${look.toString()}`)
    await sleep(POLL_MS)
  }
}

/** Ends a process as kill -9 does. Throws when there is none: to the system, no number means the whole process group. */
export function killProcess(pid: number | undefined): void {
  if (pid === undefined || pid <= 0) throw new Error('there is no process to kill')
  process.kill(pid, 'SIGKILL')
}

/** Whether the object says that it is Ready, and says it of its present spec. */
export function isReady(found: Found | undefined): boolean {
  const ready = condition(found)
  return ready?.status === 'True' && ready.observedGeneration === found?.metadata.generation
}

export function condition(found: Found | undefined, wanted = 'Ready') {
  return found?.status?.conditions.find(({ type }) => type === wanted)
}

/** Processes of QEMU of this platform's machines, by machine id. */
export async function qemus({ home }: Pick<Platform, 'home'>): Promise<{ pid: number; machineId: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(
    pids.map(async (pid) => {
      // Of one that has ended it is gone, or empty.
      const args = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      const machineId = /\0-uuid\0([0-9a-f-]{36})\0/.exec(args)?.[1]
      const isIts = machineId !== undefined && args.includes('qemu-system') && args.includes(`${home}/`)
      return isIts ? { pid, machineId } : undefined
    }),
  )
  return found.filter((process) => process !== undefined)
}

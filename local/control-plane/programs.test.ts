import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { buildArgs, VERSION } from './build.ts'
import { findKubectl, findPrograms } from './programs.ts'

let folder: string
let cache: string
let env: NodeJS.ProcessEnv
let said: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'programs-'))
  cache = join(folder, 'holdfast/control-plane', VERSION, 'bin')
  env = { XDG_CACHE_HOME: folder, KUBEBUILDER_ASSETS: join(folder, 'assets'), PATH: join(folder, 'path') }
  said = []
  await mkdir(join(folder, 'assets'))
})
afterEach(() => rm(folder, { recursive: true }))

const server = 'echo Kubernetes v1.36.0'
const client = (minor: string) => `echo '{"clientVersion": {"major": "1", "minor": "${minor}"}}'`
const names = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const

/** Puts shell scripts into a folder. */
async function put(into: string, scripts: Partial<Record<string, string>>): Promise<void> {
  await mkdir(into, { recursive: true })
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(into, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(into, name), 0o755)
  }
}

const all = { etcd: '', 'kube-apiserver': server, 'kube-controller-manager': '', kubectl: client('36') }
const search = () => ({ env, say: (line: string) => said.push(line) })

test('programs come from KUBEBUILDER_ASSETS, then kubectl from the PATH, then from the cache', async () => {
  await put(cache, all)
  expect(await findPrograms(search())).toEqual(Object.fromEntries(names.map((name) => [name, join(cache, name)])))
  await put(join(folder, 'path'), { kubectl: client('30+'), etcd: '' })
  expect(await findPrograms(search())).toMatchObject({
    etcd: join(cache, 'etcd'),
    kubectl: join(folder, 'path/kubectl'),
  })
  await put(join(folder, 'assets'), { etcd: '', kubectl: client('36') })
  expect(await findPrograms(search())).toMatchObject({
    etcd: join(folder, 'assets/etcd'),
    'kube-apiserver': join(cache, 'kube-apiserver'),
    kubectl: join(folder, 'assets/kubectl'),
  })
  const others = [join(cache, 'kube-apiserver'), join(cache, 'kube-controller-manager')].join(', ')
  expect(said.at(-1)).toBe(`not all is in ${join(folder, 'assets')} (KUBEBUILDER_ASSETS); used as well: ${others}`)
})

test.each([
  ['is too old', client('29')],
  ['is another program', 'echo hello'],
  ['fails', 'exit 1'],
  ['is of the future', client('36').replace('"1"', '"2"')],
])('a kubectl on the PATH that %s is passed over', async (_name, script) => {
  await put(cache, all)
  await put(join(folder, 'path'), { kubectl: script })
  await mkdir(join(folder, 'other/kubectl'), { recursive: true })
  env['PATH'] = ['relative', join(folder, 'other'), join(folder, 'path')].join(delimiter)
  expect(await findKubectl(search())).toBe(join(cache, 'kubectl'))
})

test('a server that is too old is refused, with what to do', async () => {
  await put(join(folder, 'assets'), { ...all, 'kube-apiserver': 'echo Kubernetes v1.35.4' })
  await expect(findPrograms(search())).rejects.toMatchObject({
    code: 'PROGRAMS_MISSING',
    message: `${join(folder, 'assets/kube-apiserver')} says that it is "Kubernetes v1.35.4", and Holdfast needs 1.36 or newer; unset KUBEBUILDER_ASSETS to have ${VERSION} built`,
  })
})

test.each([
  ['there is no Go to build it with', {}],
  ['Go 1.19 is too old to build it', { go: 'echo go1.19.8' }],
])('programs that are nowhere are missing when %s', async (why, go) => {
  await put(join(folder, 'path'), go)
  await expect(findPrograms(search())).rejects.toMatchObject({
    code: 'PROGRAMS_MISSING',
    message: expect.stringMatching(new RegExp(`${why}: install Go .* KUBEBUILDER_ASSETS .* --kubeconfig FILE$`)),
  })
})

test.each([
  ['that is not there', '/no/such/folder'],
  ['that is a file', '/etc/hostname'],
])('KUBEBUILDER_ASSETS with a folder %s is refused, and not passed over', async (_name, path) => {
  await put(cache, all)
  env['KUBEBUILDER_ASSETS'] = path
  const refusal = {
    code: 'PROGRAMS_MISSING',
    message: `KUBEBUILDER_ASSETS is ${path}, which is no folder: name the folder with the programs of the control plane, or unset it`,
  }
  await expect(findPrograms(search())).rejects.toMatchObject(refusal)
  await expect(findKubectl(search())).rejects.toMatchObject(refusal)
})

test.each(['', undefined])('KUBEBUILDER_ASSETS that is %j is as if it were not set', async (path) => {
  await put(cache, all)
  env['KUBEBUILDER_ASSETS'] = path
  expect(await findKubectl(search())).toBe(join(cache, 'kubectl'))
})

/** A Go that answers with its version, and builds as told into the folder after -o. */
const fakeGo = (build: string) => `
[ "$1" = env ] && exec echo go1.26.1
while [ "$1" != -o ]; do shift; done
out=$2
${build}`
const system = () => [join(folder, 'path'), '/usr/bin', '/bin'].join(delimiter)

test('programs that are nowhere are built, those and no others, and appear whole', async () => {
  await put(cache, { 'kube-apiserver': server, 'kube-controller-manager': '' })
  await put(join(folder, 'path'), {
    kubectl: client('36'),
    go: fakeGo('shift 2; for path; do printf "#!/bin/sh\\n" > "$out${path##*/}"; done; mv "${out}v3" "${out}server"'),
  })
  env['PATH'] = system()
  const { etcd } = await findPrograms(search())
  expect(etcd).toBe(join(cache, 'etcd'))
  expect(await readdir(cache)).toEqual(['etcd', 'kube-apiserver', 'kube-controller-manager'])
  expect(said.slice(1)).toEqual([`building etcd ${VERSION} with Go: about 6 minutes on 2 cores, once`])
})

test('a build that fails says what Go said, and leaves nothing', async () => {
  await put(join(folder, 'path'), { go: fakeGo('echo "a/package" >&2; echo "go: no network" >&2; exit 1') })
  env['PATH'] = system()
  await expect(findPrograms(search())).rejects.toMatchObject({
    code: 'BUILD_FAILED',
    message: expect.stringContaining('Go says:\ngo: no network\nIf it cannot download, set GOPROXY'),
  })
  expect(await readdir(cache)).toEqual([])
})

test('a build stamps the version, without which the server would not know its own', () => {
  const args = buildArgs(['etcd', 'kubectl'], '/out')
  expect(args.slice(-4)).toEqual(['-o', '/out/', 'go.etcd.io/etcd/server/v3', 'k8s.io/kubernetes/cmd/kubectl'])
  expect(args[args.indexOf('-ldflags') + 1]).toContain(`-X k8s.io/component-base/version.gitVersion=${VERSION}`)
})

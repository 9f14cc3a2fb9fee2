import { glob, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'

/**
 * Who may import whom, besides itself. An entry that ends in "/" or ":" stands for everything below it.
 * "Itself" is the top folder; under controllers/ it is one kind's folder: kinds talk through the API server.
 */
const layers: Record<string, readonly string[]> = {
  crds: ['npm:zod'],
  policy: ['crds/'],
  lib: ['crds/kind.ts', 'crds/common.ts', 'npm:', 'node:'],
  agent: [
    'lib/log.ts',
    'lib/log-levels.ts',
    'lib/process-arguments.ts',
    'lib/clock.ts',
    'lib/testing-clock.ts',
    'lib/testing/boot-sector.ts',
    'lib/tls/',
    'lib/metrics/',
    'npm:',
    'node:',
  ],
  controllers: [
    'crds/',
    'policy/',
    'lib/',
    'controllers/cluster/',
    'controllers/fleet/',
    'controllers/recycle-bin/',
    'agent/contract.ts',
    'agent/client.ts',
    'agent/errors.ts',
    'npm:zod',
    'node:',
  ],
  webhooks: ['crds/', 'policy/', 'lib/', 'npm:', 'node:'],
  api: ['crds/', 'policy/', 'lib/', 'agent/contract.ts', 'agent/client.ts', 'npm:', 'node:'],
  cli: ['crds/', 'lib/', 'npm:', 'node:'],
  local: [
    'crds/',
    'lib/',
    'agent/contract.ts',
    'agent/client.ts',
    'agent/errors.ts',
    'agent/lock.ts',
    'agent/paths.ts',
    'npm:',
    'node:',
  ],
  e2e: [
    'crds/',
    'lib/kube/client.ts',
    'lib/kube/errors.ts',
    'lib/kube/paths.ts',
    'lib/queue/testing.ts',
    'lib/testing/',
    'lib/testing-clock.ts',
    'lib/tls/',
    'npm:',
    'node:',
  ],
  bench: ['crds/', 'controllers/', 'lib/', 'local/', 'agent/', 'npm:', 'node:'],
  hack: [
    'crds/',
    'lib/',
    'local/',
    'controllers/cluster/caches.ts',
    'controllers/metrics.ts',
    'webhooks/metrics.ts',
    'agent/metrics/',
    'npm:',
    'node:',
  ],
}

/** What only some folders may import, whatever the table above says. */
const reserved: Record<string, readonly string[]> = {
  'npm:@kubernetes/client-node': ['lib/kube/'],
  'npm:undici': ['lib/kube/', 'agent/', 'api/', 'bench/'],
  'npm:prom-client': ['lib/metrics/'],
  'npm:fastify': ['webhooks/', 'api/', 'agent/'],
  'node:child_process': ['agent/', 'local/', 'e2e/', 'bench/', 'hack/'],
}

/** What tests against a real API server may use besides, by which files they are. */
const forEnvtests: readonly [files: RegExp, entries: readonly string[]][] = [
  [/^crds\/(testing\/cluster|.*\.envtest)\.ts$/, ['lib/kube/', 'local/kubectl.ts', 'npm:', 'node:']],
  [/^controllers\/.*\.envtest\.ts$/, ['local/kubectl.ts']],
  [
    /^webhooks\/(testing\/.*|.*\.envtest)\.ts$/,
    ['local/control-plane/', 'local/platform/install.ts', 'local/kubectl.ts'],
  ],
]

/** Says why `file` may not import `target`: a path from the root, `npm:package` or `node:module`. */
export function objection(file: string, target: string): string | undefined {
  const [top = ''] = file.split('/')
  const allowed = layers[top]
  if (!allowed) return `${top}/ is not in the table of layers`
  if (target === 'npm:vitest' && /\.(test|envtest|e2e|soak)\.ts$/.test(file)) return undefined

  const holders = reserved[target]
  if (holders && !matchesAny(file, holders)) return `only ${holders.join(' and ')} may use it`
  const besides = forEnvtests.flatMap(([files, entries]) => (files.test(file) ? entries : []))
  return matchesAny(target, [home(file), ...allowed, ...besides]) ? undefined : `${top}/ may not use it`
}

/** The folder a file shares with what it may always import. */
function home(file: string): string {
  return /^controllers\/[^/]+\/|^[^/]+\//.exec(file)?.[0] ?? file
}

function matchesAny(text: string, entries: readonly string[]): boolean {
  return entries.some((entry) => (/[/:]$/.test(entry) ? text.startsWith(entry) : text === entry))
}

/** Everything a file imports, types included, in the notation of `objection`. */
export function importsOf(file: string, text: string): string[] {
  const { module } = parseSync(file, text)
  const entries = [...module.staticImports, ...module.staticExports.flatMap((statement) => statement.entries)]
  const named = entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? [])
  const dynamic = module.dynamicImports.map(({ moduleRequest: { start, end } }) => text.slice(start + 1, end - 1))
  return [...new Set([...named, ...dynamic])].map((specifier) => toTarget(file, specifier))
}

function toTarget(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return join(dirname(file), specifier)
  if (isBuiltin(specifier)) return `node:${specifier.replace(/^node:/, '')}`
  const [scope = '', name = ''] = specifier.split('/')
  return specifier.startsWith('@') ? `npm:${scope}/${name}` : `npm:${scope}`
}

async function main(): Promise<void> {
  const files = await Array.fromAsync(glob('*/**/*.ts', { exclude: ['node_modules', '.*'] }))
  const exists = new Set(files)
  const found: string[] = []
  for (const file of files) {
    for (const target of importsOf(file, await readFile(file, 'utf8'))) {
      const why = target.includes(':') || exists.has(target) ? objection(file, target) : 'there is no such file'
      if (why !== undefined) found.push(`${file} imports ${target}: ${why}`)
    }
  }
  console.log([...found, `${files.length} files, ${found.length} wrong imports`].join('\n'))
  if (found.length > 0 || files.length === 0) process.exitCode = 1
}

if (import.meta.main) await main()

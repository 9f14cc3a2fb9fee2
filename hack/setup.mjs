// Runs a TypeScript program of this project with its pinned Node, after installing what package-lock.json names.
// Plain JavaScript for Node 18, because it is what a fresh machine may have: node hack/setup.mjs PROGRAM [ARGUMENT...]
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = join(root, 'node_modules', '.bin')
const stamp = join(root, 'node_modules', '.cache', 'holdfast-lock')
// As in local/processes/node-program.ts.
const compiled = join(root, 'node_modules', '.cache', 'holdfast-compiled')

function install() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  console.error('installing the packages of package-lock.json (once, about half a minute)')
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error || status !== 0) fail(`npm ci failed${error ? `: ${error.message}` : ''}; see above, and try again`)
  mkdirSync(join(root, 'node_modules', '.cache'), { recursive: true })
  writeFileSync(stamp, wanted)
}

function pinnedNode() {
  const path = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(path)) return path
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  return fail(
    `there is no Node 24 for ${process.platform} on ${process.arch} in our packages: install Node 24 yourself`,
  )
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

if (process.platform !== 'linux') fail('Holdfast runs on Linux: it needs QEMU, /proc and Unix sockets')
install()
const child = spawn(pinnedNode(), process.argv.slice(2), {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`, NODE_COMPILE_CACHE: compiled },
})
// The program decides when it ends; it stops its own children first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => fail(error.message))
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))

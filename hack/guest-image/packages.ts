import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GuestImageError } from './errors.ts'
import { complaint, run, tryRun } from './run.ts'

const UPDATE_TIMEOUT_MS = 5 * 60_000
const QUERY_TIMEOUT_MS = 60_000
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000
const EXTRACT_TIMEOUT_MS = 60_000

/** What ends up in the guest or makes its disk. */
const tools = ['busybox-static', 'mtools', 'syslinux', 'syslinux-common']

/** The distribution's name for its current kernel for virtual machines: Debian's, Ubuntu's. */
const kernels = ['linux-image-cloud-amd64', 'linux-image-virtual']

/**
 * Downloads the packages from the machine's own sources and unpacks them below `dir`; returns the folder that holds
 * them all. Touches no state of the machine's apt, and needs no root. Throws GuestImageError PackagesUnavailable.
 */
export async function fetchPackages(dir: string, log: (message: string) => void): Promise<string> {
  const apt = await prepareApt(join(dir, 'apt'))
  log('reading the package lists')
  // A broken source does not matter if another one has the packages.
  const { stderr } = await tryRun('apt-get', [...apt, 'update'], { timeoutMs: UPDATE_TIMEOUT_MS })

  const names = [...tools, ...(await kernelPackages(apt, complaint(stderr)))]
  const archives = join(dir, 'packages')
  await mkdir(archives)
  log(`downloading ${names.join(', ')}`)
  await run('apt-get', [...apt, 'download', ...names], { timeoutMs: DOWNLOAD_TIMEOUT_MS, cwd: archives })

  log('unpacking')
  const root = join(dir, 'root')
  for (const archive of await readdir(archives)) {
    await run('dpkg-deb', ['--extract', join(archives, archive), root], { timeoutMs: EXTRACT_TIMEOUT_MS })
  }
  return root
}

/** Makes an apt state of its own in `dir` and returns the arguments with which apt uses it. */
async function prepareApt(dir: string): Promise<string[]> {
  await mkdir(join(dir, 'lists', 'partial'), { recursive: true })
  await mkdir(join(dir, 'archives', 'partial'), { recursive: true })
  await writeFile(join(dir, 'status'), '')
  await writeFile(join(dir, 'apt.conf'), aptConf(dir))
  return ['--config-file', join(dir, 'apt.conf'), '--quiet=2']
}

// Read after the machine's own configuration: its sources, keys and proxy stay; its hooks and extra indices go.
function aptConf(dir: string): string {
  return [
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
    `Dir::State "${dir}/";`,
    `Dir::State::lists "${dir}/lists/";`,
    `Dir::State::status "${dir}/status";`,
    `Dir::Cache "${dir}/";`,
    'Dir::Cache::archives "archives/";',
    'Acquire::Languages "none";',
    ...['deb::DEP-11', 'deb::Contents-deb', 'deb::CNF', 'deb-src::Sources'].map(
      (index) => `Acquire::IndexTargets::${index}::DefaultEnabled "false";`,
    ),
    'Acquire::Retries "3";',
    'Acquire::http::Timeout "30";',
    'Acquire::https::Timeout "30";',
    // Only what the distribution signed, whatever the machine's configuration says.
    'APT::Get::AllowUnauthenticated "false";',
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowWeakRepositories "false";',
    'Acquire::AllowDowngradeToInsecureRepositories "false";',
    '',
  ].join('\n')
}

/** The packages with the kernel and its modules, which the distribution's name for the current one depends on. */
async function kernelPackages(apt: readonly string[], objection: string | undefined): Promise<string[]> {
  for (const kernel of kernels) {
    const packages = await kernelDependencies(apt, kernel)
    const below = await Promise.all(packages.map((name) => kernelDependencies(apt, name)))
    if (packages.length > 0) return [...new Set([...packages, ...below.flat()])]
  }
  const why = objection ?? "this machine's package sources do not have them"
  const message = `The guest's packages cannot be had (${why}): check the network and the package sources, or give the path of another bootable image`
  throw new GuestImageError('PackagesUnavailable', message)
}

async function kernelDependencies(apt: readonly string[], name: string): Promise<string[]> {
  const args = [...apt, 'show', '--no-all-versions', name]
  const { code, stdout } = await tryRun('apt-cache', args, { timeoutMs: QUERY_TIMEOUT_MS })
  return code === 0 ? kernelsIn(stdout) : [] // It fails for a name that no source has.
}

/** The packages of one kernel version that a package's record, as apt-cache shows it, depends on. */
export function kernelsIn(record: string): string[] {
  const depends = /^Depends: (.*)$/m.exec(record)?.[1] ?? ''
  const names = depends.split(/[,|]/).map((dependency) => dependency.trim().split(/[\s:]/)[0] ?? '')
  return [...new Set(names.filter((name) => /^linux-(image|modules)-\d/.test(name)))]
}

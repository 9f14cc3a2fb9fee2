import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Monitor } from '../../agent/qmp/monitor.ts'
import { onInterruption } from '../interruption.ts'

const run = promisify(execFile)
const LOOK_MS = 2

/** What one machine of the platform is made of, so that the same can be made without it. */
export interface Model {
  readonly machineId: string
  readonly diskId: string
  readonly diskPath: string
  /** Name of the base image's file, as the disk refers to it. */
  readonly backing: string
  readonly virtualSizeBytes: number
  readonly runDir: string
  readonly argv: readonly string[]
}

/** Reads the model off a running machine. */
export async function readModel(home: string, pid: number, machineId: string): Promise<Model> {
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  const diskPath = /"filename":"([^"]*\/disks\/[^"]*\.qcow2)"/.exec(argv.join(' '))?.[1] ?? ''
  const { stdout } = await run('qemu-img', ['info', '--force-share', '-f', 'qcow2', '--output=json', diskPath])
  const image: unknown = JSON.parse(stdout)
  if (!isOverlay(image)) throw new Error(`${diskPath} has no base image`)
  return {
    machineId,
    diskId: /([0-9a-f-]{36})\.qcow2$/.exec(diskPath)?.[1] ?? '',
    diskPath,
    backing: image['backing-filename'],
    virtualSizeBytes: image['virtual-size'],
    runDir: join(home, 'run', machineId),
    argv,
  }
}

function isOverlay(image: unknown): image is { 'backing-filename': string; 'virtual-size': number } {
  return typeof image === 'object' && image !== null && 'backing-filename' in image && 'virtual-size' in image
}

/** How a disk on top of its base image is made: by `qemu-img`, or as a copy of one that `qemu-img` made before. */
export type Making = 'qemu-img' | 'copy'

/** Makes the same disk and starts the same QEMU. Returns the milliseconds until its monitor says that it runs. */
export async function startByHand(model: Model, making: Making): Promise<number> {
  const [machineId, diskId] = [randomUUID(), randomUUID()]
  const own = (text: string) =>
    text
      .replaceAll(model.machineId, machineId)
      .replaceAll(model.diskId, diskId)
      .replaceAll(model.diskId.slice(0, 20), diskId.slice(0, 20))
  const [program = '', ...args] = model.argv.map(own)
  const [diskPath, runDir] = [own(model.diskPath), own(model.runDir)]
  const prepared = `${diskPath}.prepared`
  await mkdir(runDir)
  if (making === 'copy') await makeDisk(model, prepared)

  const startedAt = performance.now()
  if (making === 'copy') await copyFile(prepared, diskPath)
  else await makeDisk(model, diskPath)
  const child = spawn(program, args, { stdio: 'ignore' })
  using _ = onInterruption(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const ended = exited.then(([code]): never => {
    throw new Error(`QEMU by hand ended with ${String(code)} before it ran`)
  })
  const monitor = await Promise.race([connect(join(runDir, 'qmp')), ended])
  while ((await monitor.execute('query-status')).status !== 'running') await sleep(LOOK_MS)
  const tookMs = performance.now() - startedAt

  ended.catch(() => undefined) // Now it is to end.
  monitor.close()
  child.kill('SIGKILL')
  await exited
  await Promise.all([rm(diskPath), rm(prepared, { force: true }), rm(runDir, { recursive: true })])
  return tookMs
}

async function makeDisk({ backing, virtualSizeBytes }: Model, path: string): Promise<void> {
  const options = ['-o', 'compat=1.1,lazy_refcounts=on,cluster_size=65536']
  const base = ['-u', '-b', backing, '-F', 'qcow2']
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, ...base, path, String(virtualSizeBytes)])
}

async function connect(path: string): Promise<Monitor> {
  for (;;) {
    try {
      return await Monitor.connect(path, { onEvent: () => undefined, onEnd: () => undefined })
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || !['ENOENT', 'ECONNREFUSED'].includes(String(error.code)))
        throw error
      await sleep(LOOK_MS)
    }
  }
}

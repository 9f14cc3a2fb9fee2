import * as z from 'zod'
import type { FileHandle } from 'node:fs/promises'
import { run, RunError, type Finished } from '../run.ts'
import { runSandboxed, type SandboxKind } from './sandbox.ts'

/** `Damaged`: what remains wrong after a repair. `InUse`: another process has the file open. */
export type QemuImgErrorCode = 'NoSpace' | 'InUse' | 'Damaged' | 'Failed'

export class QemuImgError extends Error {
  override readonly name = 'QemuImgError'
  readonly code: QemuImgErrorCode

  constructor(code: QemuImgErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** What the platform has `qemu-img` do. Paths are those of our own files, except where a file handle is asked for. */
export interface QemuImg {
  /** Makes an empty qcow2 file. The base is written into its header and not opened. */
  create(path: string, sizeBytes: number, base?: { readonly name: string; readonly format: string }): Promise<void>
  resize(path: string, sizeBytes: number): Promise<void>
  /** Makes the counters of a file that was not closed cleanly anew. Throws `Damaged` when that does not heal it. */
  repair(path: string): Promise<void>
  /** Lets `qemu-img` judge a hostile file, whose header was checked before, in the sandbox. */
  judge(file: FileHandle): Promise<Judgement>
}

export interface Judgement {
  readonly verdict: 'Sound' | 'Corrupt' | 'Unknown'
  readonly virtualSizeBytes: number
  /** Other files that it would open. */
  readonly refersToOthers: boolean
  /** For the log. */
  readonly detail: string
}

const WORK_MS = 60_000
const REPAIR_MS = 300_000
// Nearly all of it is reading tables: a 64 GB image takes 0.2 s of CPU.
const judging = { timeoutMs: 300_000, cpuSeconds: 60, memoryBytes: 2 ** 30, outputBytes: 2 ** 20 }
const repairing = { timeoutMs: REPAIR_MS, cpuSeconds: 300, memoryBytes: 4 * 2 ** 30 }

/** qcow2 version 3, and counters written late: without that the first overwrite after a snapshot is many times slower. */
const OPTIONS = 'compat=1.1,lazy_refcounts=on,cluster_size=65536'

// What `qemu-img check` ends with. 3 is a file that wastes some space and loses nothing.
const verdicts = new Map<number, Judgement['verdict']>([
  [0, 'Sound'],
  [2, 'Corrupt'],
  [3, 'Sound'],
])
const described = z.object({
  'virtual-size': z.int(),
  'backing-filename': z.string().optional(),
  'format-specific': z.object({ data: z.object({ 'data-file': z.string().optional() }) }).optional(),
})

export function newQemuImg(program: string, sandbox: SandboxKind): QemuImg {
  const work = async (args: readonly string[]) => {
    expectDone(await run(program, args, { timeoutMs: WORK_MS }))
  }
  const look = (file: FileHandle, command: 'check' | 'info') =>
    runSandboxed(sandbox, {
      program,
      args: (input) => [command, '-f', 'qcow2', '--output=json', input],
      input: file,
      limits: judging,
    })

  return {
    create: (path, sizeBytes, base) => {
      const backing = base ? ['-u', '-b', base.name, '-F', base.format] : []
      return work(['create', '-q', '-f', 'qcow2', '-o', OPTIONS, ...backing, path, String(sizeBytes)])
    },
    resize: (path, sizeBytes) => work(['resize', '-q', '-f', 'qcow2', path, String(sizeBytes)]),
    repair: async (path) => {
      const finished = await run(program, ['check', '-q', '-r', 'all', '-f', 'qcow2', path], repairing)
      // 3 is space that was lost, and nothing else.
      if (finished.code === 2) throw new QemuImgError('Damaged', finished.stderr)
      if (finished.code !== 3) expectDone(finished)
    },
    judge: async (file) => toJudgement(...(await Promise.all([look(file, 'check'), look(file, 'info')]))),
  }
}

function expectDone({ code, stderr }: Finished): void {
  if (code !== 0) throw new QemuImgError(toCode(stderr), stderr.trim())
}

// qemu-img ends with 1 for everything, so its words are all there is. The tests hold them against the real program.
function toCode(stderr: string): QemuImgErrorCode {
  if (/No space left on device|Disk quota exceeded/.test(stderr)) return 'NoSpace'
  return /Failed to get .* lock/.test(stderr) ? 'InUse' : 'Failed'
}

function toJudgement(check: Finished, info: Finished): Judgement {
  const detail = `${check.stderr}${info.stderr}`.trim()
  const facts = info.code === 0 ? parseDescription(info.stdout) : undefined
  const verdict = verdicts.get(check.code)
  if (!facts || !verdict) return { verdict: 'Unknown', virtualSizeBytes: 0, refersToOthers: false, detail }
  const dataFile = facts['format-specific']?.data['data-file']
  const refersToOthers = facts['backing-filename'] !== undefined || dataFile !== undefined
  return { verdict, virtualSizeBytes: facts['virtual-size'], refersToOthers, detail }
}

function parseDescription(text: string): z.infer<typeof described> | undefined {
  try {
    return described.parse(JSON.parse(text))
  } catch {
    return undefined // A program that was stopped by a limit writes half of it, or nothing.
  }
}

/** Whether a child was stopped before it could answer. */
export function isStopped(error: unknown): boolean {
  return error instanceof RunError && ['TIMEOUT', 'KILLED', 'TOO_MUCH_OUTPUT'].includes(error.code)
}

import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { ImageQuery, InspectedImage } from '../contract.ts'
import { examine, type ExamineDeps, type Examined } from './examine.ts'
import { Job, timeLeft, type TimeLeft } from './job.ts'
import { openImportFile, tooLarge, type ImportFile } from './import-file.ts'
import { newSlots } from './slots.ts'

export interface InspectDeps extends ExamineDeps {
  readonly importDir: string
  /** A check has ended of which somebody was told that it takes longer. */
  readonly onEnd: (path: string) => void
}

/** Asked what becomes of a file; as `HostAgent.inspectImage`. */
export type Inspect = (query: ImageQuery, waitMs?: number) => Promise<InspectedImage>

/** What was found in a file, whatever digest it should have. */
type Findings =
  | { readonly sha256: string; readonly sizeBytes: number; readonly examined: Examined }
  | 'Changed'
  | 'TooSlow'

interface Check {
  /** Of the file that is looked at. */
  readonly identity: string
  readonly job: Job<Findings>
}

const CHUNK_BYTES = 2 ** 20
const CHUNKS_BETWEEN_LOOKS = 64
/** The rest waits for its turn: a check takes a core and some memory. */
const CHECKS_AT_ONCE = 2
const CHECK_MS = 30 * 60_000
/** Files whose findings are remembered. */
const MAX_REMEMBERED = 1000

/** Checks image files, each once for as long as it does not change. */
export function newInspect(deps: InspectDeps): Inspect {
  const { importDir, log, onEnd } = deps
  const checks = new Map<string, Check>()
  const inSlot = newSlots(CHECKS_AT_ONCE)

  const start = (key: string, opened: ImportFile, { path, format }: ImageQuery): Check => {
    const job = new Job(
      inSlot(() => find(opened, format, deps)),
      (result, isAwaitedLater) => {
        if (result.status === 'rejected') log.error({ err: result.reason, path }, 'an image cannot be checked')
        if (isAwaitedLater) onEnd(path)
      },
    )
    const check = { identity: opened.identity, job }
    checks.delete(key)
    checks.set(key, check)
    forgetOldest(checks)
    return check
  }

  const checkOf = async (query: ImageQuery, opened: ImportFile): Promise<Check> => {
    const key = keyOf(query)
    const known = checks.get(key)
    if (!known || !covers(known, opened)) return start(key, opened, query)
    await opened.file.close()
    return known
  }

  const inspect = async (query: ImageQuery, leftMs: TimeLeft): Promise<InspectedImage> => {
    const opened = await openImportFile(importDir, query)
    if ('refusal' in opened) return { state: 'Refused', ...opened.refusal }
    const { maxBytes = Infinity } = query
    if (opened.sizeBytes > maxBytes) {
      await opened.file.close()
      return { state: 'Refused', code: 'ImageTooLarge', message: tooLarge(maxBytes) }
    }
    const check = await checkOf(query, opened)
    const findings = await resultOf(check, leftMs())
    if (!findings) return { state: 'Checking' }
    // What another try may answer differently is told once, and then found out anew.
    const mustRepeat = isPassing(findings)
    if (mustRepeat && checks.get(keyOf(query)) === check) checks.delete(keyOf(query))
    // Otherwise another file took its place meanwhile.
    return mustRepeat || check.identity === opened.identity ? answer(findings, query.sha256) : inspect(query, leftMs)
  }
  return (query, waitMs) => inspect(query, timeLeft(waitMs))
}

function keyOf({ format, path }: ImageQuery): string {
  return `${format}:${path}`
}

/** One check at a time: a file that still grows would otherwise be read once for every time that somebody asks. */
function covers({ job, identity }: Check, opened: ImportFile): boolean {
  return job.isRunning || identity === opened.identity
}

function forgetOldest(checks: Map<string, Check>): void {
  if (checks.size <= MAX_REMEMBERED) return
  const oldest = [...checks].find(([, { job }]) => !job.isRunning)
  if (oldest) checks.delete(oldest[0])
}

/** A failure is in the log by then. */
async function resultOf({ job }: Check, waitMs: number | undefined): Promise<Findings | 'Failed' | undefined> {
  try {
    return await job.result(waitMs)
  } catch {
    return 'Failed'
  }
}

function isPassing(findings: Findings | 'Failed'): boolean {
  if (typeof findings === 'string') return true
  return 'refusal' in findings.examined && findings.examined.refusal.code === 'CheckFailed'
}

async function find({ file }: ImportFile, format: ImageQuery['format'], deps: InspectDeps): Promise<Findings> {
  try {
    const endMs = performance.now() + CHECK_MS
    const before = await stateOf(file)
    const sha256 = await digest(file, before, endMs)
    if (sha256 === undefined) return performance.now() < endMs ? 'Changed' : 'TooSlow'
    // A file that was removed, or that changes, is nobody's image.
    const mayGoOn = async () => performance.now() < endMs && (await stateOf(file)) === before
    const examined = await examine(file, format, { ...deps, mayGoOn })
    return (await stateOf(file)) === before ? { sha256, sizeBytes: (await file.stat()).size, examined } : 'Changed'
  } finally {
    await file.close()
  }
}

async function stateOf(file: FileHandle): Promise<string> {
  const { size, mtimeNs, nlink } = await file.stat({ bigint: true })
  return `${size} ${mtimeNs} ${nlink === 0n ? 'removed' : ''}`
}

/** SHA-256 of a whole file; undefined when it changes meanwhile, or the time is over. */
async function digest(file: FileHandle, state: string, endMs: number): Promise<string | undefined> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  let position = 0
  for (let count = 1; ; count += 1) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, position)
    if (bytesRead === 0) return hash.digest('hex')
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
    if (count % CHUNKS_BETWEEN_LOOKS !== 0) continue
    if (performance.now() >= endMs || (await stateOf(file)) !== state) return undefined
  }
}

function answer(findings: Findings | 'Failed', wanted: string | undefined): InspectedImage {
  if (findings === 'Failed') {
    return checkFailed('The file cannot be checked on this host: look into the log of its agent')
  }
  if (findings === 'Changed') {
    return checkFailed('The file changes while it is checked: wait until it is copied, or leave it alone')
  }
  if (findings === 'TooSlow') {
    return checkFailed('The file cannot be read within 30 minutes: use a smaller one, or a faster disk')
  }
  const { sha256, sizeBytes, examined } = findings
  if (wanted !== undefined && wanted.toLowerCase() !== sha256) {
    const message = `The SHA-256 of the file is ${sha256} and not ${wanted}: copy the file again, or create another Image with its checksum`
    return { state: 'Refused', code: 'ChecksumMismatch', message }
  }
  if ('refusal' in examined) return { state: 'Refused', ...examined.refusal }
  return { state: 'Verified', sha256, sizeBytes, virtualSizeBytes: examined.virtualSizeBytes }
}

function checkFailed(message: string): InspectedImage {
  return { state: 'Refused', code: 'CheckFailed', message }
}

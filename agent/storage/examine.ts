import type { FileHandle } from 'node:fs/promises'
import type { Log } from '../../lib/log.ts'
import type { ImageQuery } from '../contract.ts'
import { isMissing } from '../durable-file.ts'
import { FORMAT_HEAD_BYTES, FORMAT_TAIL_BYTES, recogniseFormat } from './disk-formats.ts'
import { readAt } from './files.ts'
import type { Refusal } from './import-file.ts'
import { findExtent, type Extent, type ExtentOptions } from './qcow2-extent.ts'
import {
  HEADER_BYTES,
  MAX_VIRTUAL_BYTES,
  parseQcow2Header,
  type HeaderFault,
  type Qcow2Header,
} from './qcow2-header.ts'
import { isStopped, type Judgement, type QemuImg } from './qemu-img.ts'

/** What became of the examination of a file that may be hostile. */
export type Examined = { readonly virtualSizeBytes: number } | { readonly refusal: Refusal }

export interface ExamineDeps {
  readonly qemuImg: Pick<QemuImg, 'judge'>
  readonly log: Log
}

const SECTOR_BYTES = 512
const ANEW = 'download or copy it again'

/**
 * Decides whether an open file may be the base of disks: first by our own reading of it, then by `qemu-img` in its
 * sandbox. A raw file is opened by nobody.
 */
export async function examine(
  file: FileHandle,
  format: ImageQuery['format'],
  deps: ExamineDeps & Pick<ExtentOptions, 'mayGoOn'>,
): Promise<Examined> {
  const { size } = await file.stat()
  if (size === 0) return refused('ImageTruncated', `The file is empty: ${ANEW}`)
  return format === 'raw' ? examineRaw(file, size) : examineQcow2(file, size, deps)
}

async function examineRaw(file: FileHandle, size: number): Promise<Examined> {
  const found = await recognise(file, size)
  if (found === 'qcow2') {
    return refused(
      'ImageRefused',
      'The file is a qcow2 image and not a raw disk: create another Image with format qcow2',
    )
  }
  if (found !== undefined) return refused('ImageRefused', `The file is not a raw disk: ${convert(found)}`)
  if (size > MAX_VIRTUAL_BYTES) return refused('ImageRefused', 'The file is larger than 64 TiB: use a smaller image')
  return { virtualSizeBytes: Math.ceil(size / SECTOR_BYTES) * SECTOR_BYTES }
}

async function examineQcow2(file: FileHandle, size: number, deps: Parameters<typeof examine>[2]): Promise<Examined> {
  const parsed = parseQcow2Header(await readAt(file, 0, HEADER_BYTES), size)
  if ('fault' in parsed) {
    return parsed.fault.code === 'NotQcow2' ? wrongFormat(await recognise(file, size)) : toRefusal(parsed.fault)
  }
  const { header } = parsed
  const objection = objectionTo(header)
  if (objection) return { refusal: objection }
  const extent = await findExtent(file, header, size, deps.mayGoOn ? { mayGoOn: deps.mayGoOn } : {})
  if ('fault' in extent) return { refusal: extentRefusals[extent.fault] }
  return judge(file, header, deps)
}

async function recognise(file: FileHandle, size: number): Promise<string | undefined> {
  const head = await readAt(file, 0, FORMAT_HEAD_BYTES)
  const tail = await readAt(file, Math.max(0, size - FORMAT_TAIL_BYTES), FORMAT_TAIL_BYTES)
  return recogniseFormat(head, tail)
}

function objectionTo(header: Qcow2Header): Refusal | undefined {
  if (header.backing) {
    const message = 'The file needs another file (its backing file): make a complete one with qemu-img convert -O qcow2'
    return { code: 'ImageRefused', message }
  }
  if (header.hasSnapshots) {
    const message = 'The file has snapshots in it: make one without them with qemu-img convert -O qcow2'
    return { code: 'ImageRefused', message }
  }
  if (!header.isDirty) return undefined
  return { code: 'ImageCorrupt', message: 'The file was not closed cleanly: repair it with qemu-img check -r all' }
}

const truncated: Refusal = { code: 'ImageTruncated', message: `The file ends before its data does: ${ANEW}` }
const corrupt: Refusal = { code: 'ImageCorrupt', message: `The tables in the file are damaged: ${ANEW}` }

const extentRefusals: Record<Extract<Extent, { fault: unknown }>['fault'], Refusal> = {
  Truncated: truncated,
  Corrupt: corrupt,
  TooManyTables: {
    code: 'ImageRefused',
    message: 'The file has more than 1048576 tables: make one with larger clusters with qemu-img convert -O qcow2',
  },
  Stopped: { code: 'CheckFailed', message: 'The check of the file took too long: make it anew with qemu-img convert' },
}

function toRefusal({ code, what }: HeaderFault): Examined {
  if (code === 'Truncated') return { refusal: truncated }
  if (code === 'Corrupt') return refused('ImageCorrupt', `The file ${what}: ${ANEW}`)
  return refused('ImageRefused', `The file ${what}: make a plain one with qemu-img convert -O qcow2`)
}

function wrongFormat(found: string | undefined): Examined {
  const hint = found === undefined ? 'if it is a raw disk, create another Image with format raw' : convert(found)
  return refused('WrongFormat', `The file is not a qcow2 image: ${hint}`)
}

function convert(found: string): string {
  return `it looks like ${found}; convert it with qemu-img convert -O qcow2, and create another Image with format qcow2`
}

async function judge(file: FileHandle, header: Qcow2Header, { qemuImg, log }: ExamineDeps): Promise<Examined> {
  try {
    return toExamined(await qemuImg.judge(file), header, log)
  } catch (error) {
    if (isMissing(error)) {
      return refused('CheckFailed', 'This host has no qemu-img: install the package qemu-utils')
    }
    if (!isStopped(error)) throw error
    log.warn({ err: error }, 'qemu-img was stopped while it checked an image')
    return refused('CheckFailed', 'The check of the file took more than it may: make it anew with qemu-img convert')
  }
}

function toExamined(judgement: Judgement, { virtualSizeBytes }: Qcow2Header, log: Log): Examined {
  if (judgement.verdict === 'Corrupt') return { refusal: corrupt }
  const isAsRead = judgement.virtualSizeBytes === virtualSizeBytes && !judgement.refersToOthers
  if (judgement.verdict === 'Sound' && isAsRead) return { virtualSizeBytes }
  log.warn({ judgement }, 'qemu-img does not understand an image as its header was read')
  return refused('CheckFailed', 'qemu-img cannot check the file: make it anew with qemu-img convert -O qcow2')
}

function refused(code: Refusal['code'], message: string): Examined {
  return { refusal: { code, message } }
}

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, link, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import * as z from 'zod'
import { LocalError } from '../errors.ts'

const VERSION = 1
const MAGIC = /^holdfast-backup (\d{1,6})\n([0-9a-f]{64})\n$/
/** Of every version of the format: what tells a backup from any other file. */
const MAGIC_BYTES = Buffer.byteLength(`holdfast-backup ${VERSION}\n\n`) + 64
const MAX_MANIFEST_BYTES = 16 * 2 ** 20
const LENGTH_BYTES = 8

/** Nothing outside of these is ever written from an archive. */
const path = z
  .string()
  .max(512)
  .regex(/^(etcd\/data|pki)\/[A-Za-z0-9_][A-Za-z0-9._/-]*$|^(agent-)?port$/)
  .refine((text) => !text.split('/').some((part) => part === '' || part.startsWith('.')))

const manifest = z.object({
  createdAt: z.iso.datetime(),
  /** Folder of the platform that it is of. */
  home: z.string(),
  files: z.array(z.object({ path, bytes: z.int().min(0), sha256: z.string().length(64) })).min(1),
})
export type Manifest = z.infer<typeof manifest>

/**
 * Writes these files of a folder, and where they are from, into one archive: a line that says what it is, the digest of
 * the list of files, and compressed the list, with the digest of each, and their contents. It appears whole or not at
 * all, for its owner alone, and never in place of another file.
 */
export async function writeArchive(
  target: string,
  folder: string,
  files: readonly string[],
  about: Omit<Manifest, 'files'>,
): Promise<Manifest> {
  const list = manifest.parse({ ...about, files: await Promise.all(files.map((file) => describe(folder, file))) })
  const text = Buffer.from(JSON.stringify(list))
  const temporary = `${target}.${process.pid}.tmp`
  try {
    await using file = await open(temporary, 'wx', 0o600)
    await file.write(`holdfast-backup ${VERSION}\n${sha256(text)}\n`)
    const compressed = Readable.from(contents(folder, list, text)).pipe(createGzip({ level: 1 }))
    for await (const chunk of compressed) await file.write(toBuffer(chunk))
    await file.sync()
    // Unlike a rename it fails when there is a file of that name.
    await link(temporary, target)
  } catch (error) {
    throw explainWrite(error, target)
  } finally {
    await rm(temporary, { force: true })
  }
  await using parent = await open(dirname(target), 'r')
  await parent.sync()
  return list
}

async function* contents(folder: string, { files }: Manifest, text: Buffer): AsyncGenerator<Buffer> {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeBigUInt64BE(BigInt(text.length))
  yield length
  yield text
  for (const file of files) {
    for await (const chunk of createReadStream(join(folder, file.path))) yield toBuffer(chunk)
  }
}

async function describe(folder: string, file: string): Promise<Manifest['files'][number]> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(join(folder, file))) {
    hash.update(toBuffer(chunk))
    bytes += toBuffer(chunk).length
  }
  return { path: file, bytes, sha256: hash.digest('hex') }
}

/**
 * Unpacks an archive into an empty folder. Throws `BACKUP_UNUSABLE` when it is damaged, of another version or no
 * backup; what was unpacked until then means nothing.
 */
export async function readArchive(source: string, folder: string): Promise<Manifest> {
  const expected = await readMagic(source)
  const input = createReadStream(source, { start: MAGIC_BYTES })
  const unpacked = createGunzip()
  // What breaks the file breaks the stream that is read here too.
  const feeding = pipeline(input, unpacked).catch(() => undefined)
  try {
    const bytes = new ByteReader(unpacked[Symbol.asyncIterator]())
    const length = Number((await bytes.take(LENGTH_BYTES)).readBigUInt64BE())
    if (length > MAX_MANIFEST_BYTES) throw damaged(source)
    const text = await bytes.take(length)
    if (sha256(text) !== expected) throw damaged(source)
    const list = manifest.parse(JSON.parse(text.toString('utf8')))
    for (const file of list.files) await unpack(bytes, file, { folder, source })
    await bytes.end()
    return list
  } catch (error) {
    if (error instanceof LocalError || isFull(error)) throw error
    throw damaged(source, error)
  } finally {
    input.destroy()
    unpacked.destroy()
    await feeding
  }
}

interface Unpacking {
  readonly folder: string
  readonly source: string
}

async function unpack(
  bytes: ByteReader,
  { path: name, bytes: length, sha256: expected }: Manifest['files'][number],
  { folder, source }: Unpacking,
): Promise<void> {
  const target = join(folder, name)
  await mkdir(dirname(target), { recursive: true, mode: 0o700 })
  const hash = createHash('sha256')
  const output = createWriteStream(target, { flags: 'wx', mode: 0o600, flush: true })
  for await (const chunk of bytes.upTo(length)) {
    hash.update(chunk)
    if (!output.write(chunk)) await once(output, 'drain')
  }
  output.end()
  await once(output, 'close')
  if (hash.digest('hex') !== expected) throw damaged(source)
  await chmod(target, 0o600)
}

async function readMagic(source: string): Promise<string> {
  const head = await readHead(source)
  const [, version, digest] = MAGIC.exec(head) ?? []
  const other = /^holdfast-backup (\d{1,6})\n/.exec(head)?.[1]
  if (other !== undefined && other !== String(VERSION)) {
    throw unusable(
      `${source} is a backup of format ${other}, and this version reads ${VERSION}: use the version that made it`,
    )
  }
  if (version === undefined || digest === undefined)
    throw unusable(`${source} is no backup of Holdfast: name another file`)
  return digest
}

async function readHead(source: string): Promise<string> {
  try {
    await using file = await open(source, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    throw unusable(`${source} cannot be read (${error.message}): name a file that npm run backup made`, error)
  }
}

/** Pieces of a stream by their length. Throws when it ends too early. */
class ByteReader {
  readonly #chunks: AsyncIterator<unknown, unknown>
  #rest: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterator<unknown, unknown>) {
    this.#chunks = chunks
  }

  async take(length: number): Promise<Buffer> {
    const pieces: Buffer[] = []
    for await (const piece of this.upTo(length)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /** Throws unless there is nothing more. */
  async end(): Promise<void> {
    const { done } = await this.#chunks.next()
    if (done !== true || this.#rest.length > 0) throw new Error('there is more than the archive names')
  }

  async *upTo(length: number): AsyncGenerator<Buffer> {
    let left = length
    while (left > 0) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#chunks.next()
        if (done === true) throw new Error('the archive ends too early')
        this.#rest = toBuffer(value)
      }
      const piece = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(piece.length)
      left -= piece.length
      yield piece
    }
  }
}

function toBuffer(chunk: unknown): Buffer {
  if (!Buffer.isBuffer(chunk)) throw new TypeError('a stream of bytes gave something else')
  return chunk
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function damaged(source: string, cause?: unknown): LocalError {
  return unusable(`${source} is damaged: use another backup`, cause)
}

function unusable(message: string, cause?: unknown): LocalError {
  return new LocalError('BACKUP_UNUSABLE', message, cause === undefined ? {} : { cause })
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

function explainWrite(error: unknown, target: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || isFull(error)) return error
  const message =
    error.code === 'EEXIST'
      ? `${target} exists already: name another file`
      : `${target} cannot be written (${error.message}): name another file`
  return new LocalError('USAGE', message, { cause: error })
}

/** Whether there is anything of this name. */
export async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  )
}

import { createHash, type Hash } from 'node:crypto'
import { constants, open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as z from 'zod'
import { readIfThere, syncFolder, writeDurably } from '../../durable-file.ts'
import { writeAt } from '../files.ts'
import type { Part } from './judge-answer.ts'
import { isThere, removePart, type Places } from './places.ts'

const factsSchema = z.object({ etag: z.string().optional(), totalBytes: z.int().optional() })

const CHUNK_BYTES = 2 ** 20
const PRIVATE = 0o600
const READ_ONLY = 0o400

/** A file that is being downloaded. It survives its agent; what a crash of the host did to it, the digest shows. */
export class PartFile implements AsyncDisposable {
  readonly #places: Places
  readonly #file: FileHandle
  #hash: Hash
  #part: Part
  /** Not all of it is from one answer. */
  #isPatched: boolean

  private constructor(places: Places, file: FileHandle, found: { hash: Hash; part: Part }) {
    this.#places = places
    this.#file = file
    this.#hash = found.hash
    this.#part = found.part
    this.#isPatched = found.part.bytes > 0
  }

  /** Takes up what an earlier download from this URL has left. Reads it once, for the digest. */
  static async open(places: Places): Promise<PartFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
    const file = await open(places.part, flags, PRIVATE)
    try {
      const { hash, bytes } = await digestSoFar(file)
      return new PartFile(places, file, { hash, part: { bytes, ...(await readFacts(places)) } })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  get part(): Part {
    return this.#part
  }

  get isPatched(): boolean {
    return this.#isPatched
  }

  /** The next bytes are those behind what is there. */
  async goOn(part: Part): Promise<void> {
    this.#isPatched = true
    await this.#note(part)
  }

  /** Drops all that is there. */
  async startAnew(part: Part = { bytes: 0 }): Promise<void> {
    await this.#file.truncate(0)
    this.#hash = createHash('sha256')
    this.#isPatched = false
    await this.#note({ ...part, bytes: 0 })
  }

  async write(chunk: Uint8Array): Promise<void> {
    await writeAt(this.#file, chunk, this.#part.bytes)
    this.#hash.update(chunk)
    this.#part = { ...this.#part, bytes: this.#part.bytes + chunk.length }
  }

  /** SHA-256 of what is there. */
  digest(): string {
    return this.#hash.copy().digest('hex')
  }

  async sync(): Promise<void> {
    await this.#file.datasync()
  }

  /** Makes it the whole file, durably. Where another URL has sent that before, it stays: it may be in use. */
  async finish(): Promise<void> {
    if (await isThere(this.#places.whole)) return this.remove()
    await this.#file.chmod(READ_ONLY)
    await this.#file.sync()
    await rename(this.#places.part, this.#places.whole)
    await rm(this.#places.facts, { force: true })
    await syncFolder(dirname(this.#places.whole))
  }

  async remove(): Promise<void> {
    await removePart(this.#places)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }

  async #note(part: Part): Promise<void> {
    this.#part = part
    const { etag, totalBytes } = part
    await writeDurably(this.#places.facts, JSON.stringify({ etag, totalBytes }))
  }
}

async function digestSoFar(file: FileHandle): Promise<{ hash: Hash; bytes: number }> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  let bytes = 0
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, bytes)
    if (bytesRead === 0) return { hash, bytes }
    hash.update(buffer.subarray(0, bytesRead))
    bytes += bytesRead
  }
}

async function readFacts({ facts }: Places): Promise<Omit<Part, 'bytes'>> {
  const text = await readIfThere(facts)
  return factsSchema.safeParse(text === undefined ? undefined : parseJson(text)).data ?? {}
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // Then the server is asked without it.
  }
}

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { serveImage, variantOf, type ImageServer } from './image-server.ts'
import { imageByHttp, type Manifest } from './manifests.ts'

/** Images of a server on this computer, no two of which have the same bytes: so none keeps the file of another one. */
export class Pictures implements AsyncDisposable {
  readonly #bytes: Buffer
  readonly #server: ImageServer
  #made = 0

  private constructor(bytes: Buffer, server: ImageServer) {
    this.#bytes = bytes
    this.#server = server
  }

  /** All are that file, but for a place that nobody reads. */
  static async of(file: string): Promise<Pictures> {
    const bytes = await readFile(file)
    return new Pictures(bytes, await serveImage((path) => variantOf(bytes, path)))
  }

  /** The next one, under that name. */
  next(name: string): Manifest {
    const path = `/${(this.#made += 1)}.qcow2`
    const digest = createHash('sha256').update(variantOf(this.#bytes, path)).digest('hex')
    return imageByHttp(name, new URL(path, this.#server.url).href, `sha256:${digest}`)
  }

  /** How often any of them was asked for. */
  get requests(): number {
    return this.#server.ranges.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}

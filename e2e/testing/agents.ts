import { readFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import * as z from 'zod'
import type { Platform } from './platform.ts'

const observed = z.array(
  z.looseObject({
    id: z.string(),
    state: z.string(),
    power: z.string(),
    disks: z.array(z.looseObject({ id: z.string() })).default([]),
  }),
)

/** A machine as its host tells of it. */
export type AgentMachine = z.infer<typeof observed>[number] & { readonly host: string }

/** Asks the agents of a platform what the controllers ask them. */
export class Agents {
  /** Name and port of each. */
  readonly #hosts: ReadonlyMap<string, number>
  readonly #client: Agent

  private constructor(hosts: ReadonlyMap<string, number>, client: Agent) {
    this.#hosts = hosts
    this.#client = client
  }

  static async open({ home }: Pick<Platform, 'home'>, hosts: ReadonlyMap<string, number>): Promise<Agents> {
    const read = (name: string) => readFile(join(home, 'pki', 'agents', name), 'utf8')
    const [ca, cert, key] = [
      await read('ca.crt'),
      await read('holdfast-controllers.crt'),
      await read('holdfast-controllers.key'),
    ]
    return new Agents(hosts, new Agent({ keepAlive: true, ca, cert, key }))
  }

  /** What every host says that it has. */
  async machines(): Promise<AgentMachine[]> {
    const all = await Promise.all(
      [...this.#hosts].map(async ([host, port]) =>
        (await this.#ask(host, port)).map((machine) => ({ ...machine, host })),
      ),
    )
    return all.flat()
  }

  async #ask(servername: string, port: number): Promise<z.infer<typeof observed>> {
    const options = { host: '127.0.0.1', port, path: '/v1/machines', servername, agent: this.#client }
    const text = await new Promise<string>((resolve, reject) => {
      get(options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
      }).on('error', reject)
    })
    return observed.parse(JSON.parse(text))
  }

  close(): void {
    this.#client.destroy()
  }
}

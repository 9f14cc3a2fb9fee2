import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'
import { Agents, type AgentMachine } from './agents.ts'
import { isReady, type Platform } from './platform.ts'

const INTERVAL_MS = 50
const address = z.looseObject({ port: z.int() })

/** Looks all the time at who has which disk: as the hosts say it, for they are who would write to it. */
export class DiskWatch implements AsyncDisposable {
  /** Ids of all files that a Disk ever stood for. */
  readonly seen = new Set<string>()
  /** What was at two machines at once, in words. */
  readonly doubles: string[] = []
  looks = 0
  readonly #platform: Platform
  readonly #agents: Agents
  #looking = Promise.resolve()
  #isOver = false

  private constructor(platform: Platform, agents: Agents) {
    this.#platform = platform
    this.#agents = agents
  }

  static async start(platform: Platform): Promise<DiskWatch> {
    const hosts = await platform.list('hosts')
    const ports = hosts.map(({ metadata, spec }) => [metadata.name, address.parse(spec).port] as const)
    const watch = new DiskWatch(platform, await Agents.open(platform, new Map(ports)))
    watch.#looking = watch.#run()
    return watch
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      this.#look(await this.#agents.machines())
      for (const disk of await this.#platform.list('disks')) {
        if (isReady(disk) && disk.status?.id !== undefined) this.seen.add(disk.status.id)
      }
      this.looks += 1
      await sleep(INTERVAL_MS)
    }
  }

  #look(machines: readonly AgentMachine[]): void {
    const holders = new Map<string, string>()
    for (const machine of machines.filter(({ state }) => !/^(Stopped|Absent)$/.test(state))) {
      for (const disk of machine.disks) {
        const other = holders.get(disk.id)
        if (other !== undefined) this.doubles.push(`disk ${disk.id} is at ${other} and ${toText(machine)}`)
        holders.set(disk.id, toText(machine))
      }
    }
  }

  /** Throws what went wrong while it looked. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#looking.finally(() => this.#agents.close())
  }
}

function toText({ id, host, state, power }: AgentMachine): string {
  return `${host} ${id} (${state}, ordered ${power})`
}

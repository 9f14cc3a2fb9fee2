import { disk, machine } from '../manifests.ts'
import { eventually, type Platform } from '../platform.ts'
import { HOST } from '../under-test.ts'
import { IMAGE, simulatedOnly } from './cast.ts'

export const MACHINES = 50
/** Those with a real guest: enough to see what happens to QEMU, few enough for two cores. */
const REAL = 6
const SIZES = ['64Mi', '96Mi', '128Mi'] as const

/** What the user last asked of one machine. */
export interface Wish {
  readonly name: string
  readonly exists: boolean
  readonly runStrategy: 'Always' | 'Halted'
  readonly cpus: number
  readonly hasData: boolean
  /** Of its data disk, as an index of sizes: disks only grow. */
  readonly size: number
}

/** What one user wants of fifty machines, as it changes. */
export class Wishes {
  readonly #platform: Platform
  readonly #random: () => number
  readonly #wishes: Wish[]
  /** Indexes of those of which it is not known whether the API took them: an answer can be lost. */
  readonly #unclear = new Set<number>()

  constructor(platform: Platform, random: () => number) {
    this.#platform = platform
    this.#random = random
    const wish = { exists: true, runStrategy: 'Always', cpus: 1, hasData: false, size: 0 } as const
    this.#wishes = Array.from({ length: MACHINES }, (_, index) => ({ ...wish, name: `soak-${index}` }))
  }

  get all(): readonly Wish[] {
    return this.#wishes
  }

  /** Has all of it as wished for, at the beginning. */
  async begin(): Promise<void> {
    await this.#platform.apply(...this.#wishes.flatMap((wish, index) => manifests(wish, index)))
  }

  /** Changes one thing of one machine. Returns what, or undefined when it is not to be known whether the API took it. */
  async change(): Promise<string | undefined> {
    const index = Math.floor(this.#random() * this.#wishes.length)
    const before = this.#wishes[index]
    if (!before || this.#unclear.has(index)) return undefined
    const after = this.#next(before)
    // What is applied to an object that is being deleted goes with it.
    if (!before.exists && (await this.#isThere(after.name))) return undefined
    this.#wishes[index] = after
    if (await this.#tell(after, index)) return `${after.name}: ${JSON.stringify(after)}`
    this.#unclear.add(index)
    return undefined
  }

  /** Tells once more what may not have been heard, until all of it was. */
  async insist(): Promise<void> {
    await eventually(async () => {
      for (const index of this.#unclear) {
        const wish = this.#wishes[index]
        if (wish && (await this.#tell(wish, index))) this.#unclear.delete(index)
      }
      return this.#unclear.size === 0
    })
  }

  #next(wish: Wish): Wish {
    if (!wish.exists) return { ...wish, exists: true, hasData: false }
    const pick = Math.floor(this.#random() * 5)
    if (pick === 0) return { ...wish, exists: false }
    if (pick === 1) return { ...wish, runStrategy: wish.runStrategy === 'Always' ? 'Halted' : 'Always' }
    if (pick === 2) return { ...wish, cpus: 3 - wish.cpus, runStrategy: 'Halted' }
    if (pick === 3) return { ...wish, hasData: !wish.hasData }
    return { ...wish, size: Math.min(wish.size + 1, SIZES.length - 1) }
  }

  async #isThere(name: string): Promise<boolean> {
    const { code, stderr } = await this.#platform.kubectl('get', 'hfvm', name, '--request-timeout=5s')
    return code === 0 || !stderr.includes('NotFound')
  }

  async #tell(wish: Wish, index: number): Promise<boolean> {
    const hurry = '--request-timeout=5s'
    if (!wish.exists) {
      const remove = ['delete', 'hfvm', wish.name, '--wait=false', '--ignore-not-found', hurry]
      return (await this.#platform.kubectl(...remove)).code === 0
    }
    const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests(wish, index) })
    return (await this.#platform.tryApply(text, hurry)).code === 0
  }
}

function manifests(wish: Wish, index: number): object[] {
  const { name, runStrategy, cpus, hasData, size } = wish
  const real = ['host-1', HOST][index % 2] ?? HOST
  const isReal = index < REAL
  const placement = isReal ? { host: real } : { hostSelector: simulatedOnly }
  const data = `${name}-data`
  // Where a machine goes that is made anew is not known before, so only the real ones have a second disk.
  const storage = real === HOST ? 'local-2' : 'local'
  return [
    ...(isReal ? [disk(data, { size: SIZES[size], dataStorage: storage })] : []),
    machine(name, {
      runStrategy,
      cpus,
      placement,
      rootDisk: { imageRef: { name: IMAGE } },
      disks: isReal && hasData ? [{ diskRef: { name: data } }] : [],
      terminationGracePeriodSeconds: 0,
    }),
  ]
}

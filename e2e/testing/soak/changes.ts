import { disk, machine } from '../manifests.ts'
import type { Platform } from '../platform.ts'
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

  /** Changes one thing of one machine. Returns what, or undefined when the API did not take it: then it is not wished for. */
  async change(): Promise<string | undefined> {
    const index = Math.floor(this.#random() * this.#wishes.length)
    const before = this.#wishes[index]
    if (!before) return undefined
    const after = this.#next(before)
    if (!(await this.#tell(before, after, index))) return undefined
    this.#wishes[index] = after
    return `${after.name}: ${JSON.stringify(after)}`
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

  async #tell(before: Wish, after: Wish, index: number): Promise<boolean> {
    if (before.exists && !after.exists) {
      const asked = await this.#platform.kubectl('delete', 'hfvm', after.name, '--wait=false', '--request-timeout=5s')
      return asked.code === 0
    }
    // What is applied to an object that is being deleted goes with it.
    if (!before.exists && (await this.#isThere(after.name))) return false
    const items = manifests(after, index)
    const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
    return (await this.#platform.tryApply(text, '--request-timeout=5s')).code === 0
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

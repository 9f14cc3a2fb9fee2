import { leaderLease } from '../../crds/leader-lease.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { leaseStore } from '../../lib/kube/lease-store.ts'
import { hasEnded } from '../../lib/process-name.ts'

const ANSWER_MS = 5_000

export interface Leader {
  readonly holder: string
  readonly term: number
  /** Of its Lease. One that leads renews that every few seconds. */
  readonly resourceVersion: string
}

/** Which process of the controllers leads; undefined when none does, or nobody can tell. */
export async function findLeader(kube: Pick<Kube, 'send'>): Promise<Leader | undefined> {
  try {
    const lease = await leaseStore(kube, leaderLease, ANSWER_MS).read()
    if (lease?.holder === undefined || (await hasEnded(lease.holder))) return undefined
    return { holder: lease.holder, term: lease.term, resourceVersion: lease.resourceVersion }
  } catch (error) {
    if (error instanceof KubeError) return undefined
    throw error
  }
}

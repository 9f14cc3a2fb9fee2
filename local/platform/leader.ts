import { leaderLease } from '../../crds/leader-lease.ts'
import type { Kube } from '../../lib/kube/client.ts'
import { leaseStore } from '../../lib/kube/lease-store.ts'
import { hasEnded } from '../../lib/process-name.ts'

const ANSWER_MS = 5_000

/** Which process of the controllers leads; undefined when none does. Throws KubeError. */
export async function findLeader(kube: Pick<Kube, 'send'>): Promise<{ holder: string; term: number } | undefined> {
  const { holder, term = 0 } = (await leaseStore(kube, leaderLease, ANSWER_MS).read()) ?? {}
  return holder === undefined || (await hasEnded(holder)) ? undefined : { holder, term }
}

import { Disk } from '../crds/disk.ts'
import type { Kind } from '../crds/kind.ts'
import { RecycledResource } from '../crds/recycled-resource.ts'
import { VirtualMachine } from '../crds/virtual-machine.ts'
import { isAllowed } from './access.ts'
import type { UserInfo } from './review.ts'
import type { Consequent } from './rules/delete.ts'
import { MAX_NAMES, UNSEEN } from './rules/rule.ts'
import type { Sources } from './sources.ts'

/**
 * What somebody may be told of an object that is in no namespace and is used from many: what they may not read is counted, and
 * not named. Throws KubeError.
 */
export async function seenBy({ kube }: Pick<Sources, 'kube'>, user: UserInfo, facts: Consequent): Promise<Consequent> {
  const mayGet = async ({ group, plural }: Kind, namespace?: string) =>
    isAllowed(kube, user, { verb: 'get', group, plural, ...(namespace !== undefined && { namespace }) })
  // More are named in no refusal, and are not asked about.
  const withoutUnseen = async (kind: Kind, names: readonly string[]) => {
    const namespaces = [...new Set(names.map(namespaceOf))].toSorted().slice(0, MAX_NAMES)
    const asked = await Promise.all(namespaces.map(async (one) => ((await mayGet(kind, one)) ? one : [])))
    const seen = new Set(asked.flat())
    return names.map((name) => (seen.has(namespaceOf(name)) ? name : UNSEEN))
  }
  const [machines, disks, isBinSeen] = await Promise.all([
    withoutUnseen(VirtualMachine, facts.machines),
    withoutUnseen(Disk, facts.disks),
    facts.binned.length === 0 || mayGet(RecycledResource),
  ])
  return { ...facts, machines, disks, binned: isBinSeen ? facts.binned : facts.binned.map(() => UNSEEN) }
}

function namespaceOf(key: string): string {
  return key.split('/')[0] ?? ''
}

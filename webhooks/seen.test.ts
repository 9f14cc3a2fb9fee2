import { expect, test } from 'vitest'
import { dataStorage } from '../crds/testing/objects.ts'
import type { Call, Reply } from '../lib/kube/client.ts'
import type { Consequent } from './rules/delete.ts'
import { listed, UNSEEN } from './rules/rule.ts'
import { seenBy } from './seen.ts'

const user = { username: 'hank', groups: [], extra: {} }
const facts: Consequent = {
  object: dataStorage(),
  decision: undefined,
  machines: ['shop/web', 'secret/top'],
  disks: ['secret/top-root'],
  goAlong: [],
  heldBack: new Map(),
  storages: [],
  binned: ['Disk secret/old (e)'],
}

/** What hank is told who may read those, as `plural namespace`. */
async function told(...held: string[]) {
  const send = async <T>({ body }: Call): Promise<Reply<T>> => {
    const { spec } = body as { spec: { resourceAttributes: { resource: string; namespace?: string } } }
    const { resource, namespace } = spec.resourceAttributes
    const allowed = held.includes([resource, namespace].filter(Boolean).join(' '))
    return { status: 201, body: { status: { allowed } } as T, warnings: [] }
  }
  const { machines, disks, binned } = await seenBy({ kube: { send } }, user, facts)
  return [machines, disks, binned]
}

test('[REM-03] What somebody may not read is counted, and not named', async () => {
  expect(await told('virtualmachines shop')).toEqual([['shop/web', UNSEEN], [UNSEEN], [UNSEEN]])
  expect(await told('virtualmachines secret', 'disks secret', 'recycledresources')).toEqual([
    [UNSEEN, 'secret/top'],
    ['secret/top-root'],
    ['Disk secret/old (e)'],
  ])
  expect(listed(['shop/web', UNSEEN])).toBe('shop/web and 1 more')
  expect(listed([UNSEEN, UNSEEN])).toBe('2 that cannot be named here')
})

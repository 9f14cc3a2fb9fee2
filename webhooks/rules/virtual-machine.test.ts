import { describe, expect, test } from 'vitest'
import { attachment, entry, machine } from '../../crds/testing/objects.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import { confirmationToken } from '../../policy/confirmation.ts'
import { sha256Hex } from '../facts.ts'
import { rulesFor } from './index.ts'
import { firstObjection } from './rule.ts'
import { deleteVirtualMachine } from './virtual-machine.ts'
import { guard, type WriteFacts } from './write.ts'

type Marked = [name: string, isMarked?: boolean]
const vm = (...disks: Marked[]) => machine({ disks: disks.map(([name, isMarked]) => attachment(name, isMarked)) })

/** What somebody is told who may not delete Disks but for these. */
function objection(
  object: VirtualMachine,
  before?: VirtualMachine,
  more: Partial<WriteFacts> = {},
  held: string[] = [],
) {
  const { guarded = [] } = rulesFor({ group: VirtualMachine.group, resource: VirtualMachine.plural }) ?? {}
  const caller = { person: 'bob', owner: 'bob', settings: defaultDeletion, recovery: undefined, binned: [] }
  const can: WriteFacts['can'] = ({ verb, plural, namespace, name = '' }) =>
    verb !== 'delete' || (plural === 'disks' && namespace === 'shop' && held.includes(name))
  return firstObjection(guarded.map(guard), { kind: VirtualMachine, object, before, ...caller, can, ...more })?.message
}

const refusal = (name: string) =>
  `bob may not have Disk ${name} deleted with the machine: leave deleteWithVirtualMachine out of spec.disks, or ask for the permission delete on disks`

describe('Who has a machine take a Disk along', () => {
  const recovery = {
    name: 'e',
    entry: entry('VirtualMachine', 'web', { manifest: { spec: { ...vm(['a', true]).spec } } }),
    owner: 'bob',
  }
  test.each<[string, string | undefined, string | undefined]>([
    ['makes a machine with none', objection(vm(['a'])), undefined],
    ['makes one with a marked Disk', objection(vm(['a', true])), refusal('a')],
    ['marks the second', objection(vm(['a', true], ['b', true]), vm(['a', true], ['b'])), refusal('b')],
    ['marks one that they may delete', objection(vm(['a', true]), vm(['a']), {}, ['a']), undefined],
    ['marks two, of which they may delete one', objection(vm(['a', true], ['b', true]), vm(), {}, ['a']), refusal('b')],
    ['changes something else', objection(vm(['a', true], ['b']), vm(['a', true])), undefined],
    ['takes the mark away', objection(vm(['a']), vm(['a', true])), undefined],
    ['brings it back as it was', objection(vm(['a', true]), undefined, { recovery }), undefined],
    ['brings it back with another', objection(vm(['a', true], ['b', true]), undefined, { recovery }), refusal('b')],
  ])('[DEL-20] %s', (_, said, sentence) => {
    expect(said).toBe(sentence)
  })
})

test('[DEL-20] What confirms the delete of a machine is worth nothing once another Disk goes along', () => {
  const tokenFor = (...goAlong: string[]) => {
    const none = { machines: [], heldBack: new Map<string, string>(), storages: [], binned: [] }
    const facts = { object: vm(), decision: undefined, disks: ['shop/a'], goAlong, ...none }
    return confirmationToken('uid', deleteVirtualMachine.consequences(facts), sha256Hex)
  }
  expect(tokenFor('shop/a')).toBe(tokenFor('shop/a'))
  expect(tokenFor('shop/a')).not.toBe(tokenFor())
})

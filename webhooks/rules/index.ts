import { DataStorage } from '../../crds/data-storage.ts'
import { Disk } from '../../crds/disk.ts'
import { Host } from '../../crds/host.ts'
import { Image } from '../../crds/image.ts'
import { brakedKinds, ownedKinds } from '../../crds/index.ts'
import type { Kind } from '../../crds/kind.ts'
import { PlatformSettings } from '../../crds/platform-settings.ts'
import { RecycledResource } from '../../crds/recycled-resource.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import { deleteDataStorage } from './data-storage.ts'
import type { DeleteRules } from './delete.ts'
import { deleteDisk, machineChange } from './disk.ts'
import { deleteHost } from './host.ts'
import { deleteImage } from './image.ts'
import { nameIsFree, nameReuseIsKnown } from './name-reuse.ts'
import { newOwners } from './owner-references.ts'
import { deletePlatformSettings, limitOfBrake, policyOfKind, releaseOfBrake } from './platform-settings.ts'
import {
  entriesAreNotDeleted,
  isNotByHand,
  purgeChange,
  recoverChange,
  recoverDisksInto,
  recoverInto,
  recoverMarksInto,
  recoverOfOthers,
} from './recycled-resource.ts'
import {
  comesWithoutOwners,
  isRecoverable,
  originIsOurs,
  recoverIsName,
  recovery,
  recoveryOfOthers,
} from './recovery.ts'
import type { Rule } from './rule.ts'
import { deleteVirtualMachine, markChange } from './virtual-machine.ts'
import { deletionPolicyChange, ownerChange, type Guarded, type WriteFacts } from './write.ts'

/** What admission asks of one kind. */
export interface KindRules {
  readonly kind: Kind
  /** What takes a permission of its own to create or change. */
  readonly guarded: readonly Guarded[]
  /** Besides these. */
  readonly write: readonly Rule<WriteFacts>[]
  /** Absent where a delete is nobody's concern, or not for people. */
  readonly delete?: DeleteRules
  /** Refuses every delete that is asked about: by people, and by the garbage collector. */
  readonly refuseDelete?: typeof entriesAreNotDeleted
}

const owned = {
  guarded: [deletionPolicyChange, recovery, recoveryOfOthers, ownerChange, newOwners],
  write: [nameReuseIsKnown, recoverIsName, originIsOurs, isRecoverable, comesWithoutOwners, nameIsFree],
} as const
const platform = { guarded: [newOwners], write: [] } as const

const listed: readonly KindRules[] = [
  {
    ...owned,
    kind: VirtualMachine,
    guarded: [...owned.guarded, markChange],
    delete: deleteVirtualMachine,
  },
  { ...owned, kind: Disk, guarded: [...owned.guarded, machineChange], delete: deleteDisk },
  { ...owned, kind: Image, delete: deleteImage },
  { ...platform, kind: Host, delete: deleteHost },
  { ...platform, kind: DataStorage, delete: deleteDataStorage },
  {
    ...platform,
    kind: PlatformSettings,
    guarded: [
      newOwners,
      ...brakedKinds.map(releaseOfBrake),
      ...brakedKinds.map(limitOfBrake),
      ...ownedKinds.map(policyOfKind),
    ],
    delete: deletePlatformSettings,
  },
  {
    ...platform,
    kind: RecycledResource,
    guarded: [
      purgeChange,
      recoverChange,
      recoverOfOthers,
      recoverInto,
      recoverDisksInto,
      recoverMarksInto,
      ownerChange,
    ],
    write: [isNotByHand],
    refuseDelete: entriesAreNotDeleted,
  },
]

/** What admission asks of the kind of these resources; undefined when it is none of ours. */
export function rulesFor({ group, resource }: { group: string; resource: string }): KindRules | undefined {
  return listed.find(({ kind }) => kind.group === group && kind.plural === resource)
}

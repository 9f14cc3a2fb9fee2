import type { Disk } from '../../crds/disk.ts'

/**
 * Disks that their hosts have just made, while the API server is still being told. The machine that one was made for
 * can start meanwhile: what it relies on was stored before, and its host looks at the file itself.
 */
export interface MadeDisks {
  has(this: void, disk: Disk): boolean
  note(this: void, disk: Disk): void
}

export interface MadeDisksDeps {
  /** Calls back after every change of a disk, without it when it is gone. */
  readonly onChange: (listener: (before: Disk | undefined, after: Disk | undefined) => void) => void
  /** A disk was noted. */
  readonly onMade: (disk: Disk) => void
}

export function newMadeDisks({ onChange, onMade }: MadeDisksDeps): MadeDisks {
  const uids = new Set<string>()
  onChange((before, after) => {
    const isTold = after?.status?.size !== undefined
    if (before && (!after || isTold)) uids.delete(before.metadata.uid)
  })
  return {
    has: ({ metadata }) => uids.has(metadata.uid),
    note(disk) {
      uids.add(disk.metadata.uid)
      onMade(disk)
    },
  }
}

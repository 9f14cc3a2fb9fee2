import { syncFile } from './files.ts'
import { QemuImgError, type QemuImg } from './qemu-img.ts'

/** Makes disks larger, now or when QEMU has closed them. */
export interface Growth {
  /** `Growing` while QEMU has the disk open. That is remembered for as long as this agent lives. */
  grow(path: string, sizeBytes: number): Promise<'Ready' | 'Growing'>
  /** Lets a disk grow that had to wait. */
  growIfDue(path: string): Promise<void>
  forget(path: string): void
}

export function newGrowth(qemuImg: Pick<QemuImg, 'resize'>): Growth {
  const due = new Map<string, number>()

  const grow: Growth['grow'] = async (path, sizeBytes) => {
    try {
      await qemuImg.resize(path, sizeBytes)
    } catch (error) {
      if (!(error instanceof QemuImgError) || error.code !== 'InUse') throw error
      due.set(path, sizeBytes)
      return 'Growing'
    }
    await syncFile(path)
    due.delete(path)
    return 'Ready'
  }

  return {
    grow,
    growIfDue: async (path) => {
      const sizeBytes = due.get(path)
      if (sizeBytes !== undefined) await grow(path, sizeBytes)
    },
    forget: (path) => {
      due.delete(path)
    },
  }
}

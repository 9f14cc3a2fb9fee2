import { AgentError } from '../errors.ts'
import { RunError } from '../run.ts'
import { QemuImgError } from './qemu-img.ts'

/** Runs work on the storage of this name, and says in the contract's terms what keeps it from being done. */
export async function explainFailures<T>(storage: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toAgentError(error, storage) ?? error
  }
}

// How a storage that is gone, read-only or broken answers. ENOENT: what was just looked at is no longer there.
const unusable = new Set(['EROFS', 'EIO', 'ESTALE', 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ENXIO', 'ENODEV'])

function toAgentError(cause: unknown, storage: string): AgentError | undefined {
  if (cause instanceof AgentError) return undefined
  if (cause instanceof RunError) return explainChild(cause, storage)
  const code = codeOf(cause)
  if (code === 'NoSpace' || code === 'ENOSPC' || code === 'EDQUOT') {
    const message = `DataStorage ${storage} has no space left: free some, and it goes on by itself`
    return new AgentError('NO_SPACE', message, { cause })
  }
  if (unusable.has(code)) {
    const message = `DataStorage ${storage} cannot be read or written: look after the disk or mount that it is on`
    return new AgentError('STORAGE_UNAVAILABLE', message, { cause })
  }
  return undefined
}

function explainChild(cause: RunError, storage: string): AgentError | undefined {
  switch (cause.code) {
    case 'ENOENT': {
      const message = 'This host has no qemu-img: install it, on Debian and Ubuntu with apt-get install qemu-utils'
      return new AgentError('QEMU_UNAVAILABLE', message, { cause })
    }
    case 'PRLIMIT_MISSING':
      return new AgentError('QEMU_UNAVAILABLE', 'This host has no prlimit: install the package util-linux', { cause })
    case 'TIMEOUT': {
      const message = `DataStorage ${storage} takes too long to answer: look after the disk or mount that it is on`
      return new AgentError('STORAGE_UNAVAILABLE', message, { cause })
    }
    case 'KILLED':
    case 'TOO_MUCH_OUTPUT':
      return undefined
  }
}

function codeOf(error: unknown): string {
  const isCoded = error instanceof QemuImgError || (error instanceof Error && 'code' in error)
  return isCoded ? String(error.code) : ''
}

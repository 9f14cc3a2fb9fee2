import { setTimeout as sleep } from 'node:timers/promises'
import type { ObservedStorage } from '../contract.ts'

export interface MeasuredStorage {
  readonly name: string
  /** Undefined: it cannot be used now, or did not answer in time. */
  readonly space: Pick<ObservedStorage, 'capacityBytes' | 'availableBytes'> | undefined
}

const PATIENCE_MS = 1000

/**
 * Measures storages for whoever asks often. A file system that has gone silent, such as NFS without its server, keeps a
 * thread for as long as that lasts: it is not asked again before it has answered.
 */
export function newSpaceMeter(
  measure: (name: string) => Promise<NonNullable<MeasuredStorage['space']>>,
  patienceMs = PATIENCE_MS,
): (name: string) => Promise<MeasuredStorage> {
  const asked = new Map<string, Promise<MeasuredStorage['space']>>()

  const ask = async (name: string): Promise<MeasuredStorage['space']> => {
    try {
      const space = await measure(name)
      return space.capacityBytes > 0 ? space : undefined
    } catch {
      return undefined // Why it cannot be used is said where the controllers ask.
    } finally {
      asked.delete(name)
    }
  }

  return async (name) => {
    const asking = asked.get(name) ?? ask(name)
    asked.set(name, asking)
    const patience = new AbortController()
    const giveUp = sleep(patienceMs, undefined, { signal: patience.signal, ref: false }).catch(() => undefined)
    const space = await Promise.race([asking, giveUp])
    patience.abort()
    return { name, space }
  }
}

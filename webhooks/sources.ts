import { defaultDeletion } from '../policy/deletion.ts'
import type { DeletionSettings } from '../crds/deletion.ts'
import type { Kube } from '../lib/kube/client.ts'
import type { Caches } from './caches.ts'

/** Where facts are read. */
export interface Sources {
  readonly kube: Pick<Kube, 'send'>
  readonly caches: Caches
  /** By the clock of the API server. */
  readonly now: () => Date
  /** Is told the kind of a brake that latches. */
  readonly onLatched?: ((kind: string) => void) | undefined
  /** Is told why it could not be written down who deletes a namespace, which goes all the same. */
  readonly onUnrecorded?: ((error: unknown) => void) | undefined
}

/** What holds now. */
export function settingsOf({ settings }: Caches): DeletionSettings {
  return settings.get('default')?.spec.deletion ?? defaultDeletion
}

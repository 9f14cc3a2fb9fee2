import { heldBrakes } from '../../policy/brake.ts'
import { defaultDeletion } from '../../policy/deletion.ts'
import type { Caches } from '../cluster/caches.ts'
import type { Enqueue } from '../cluster/watch.ts'
import { latchedNews } from './news.ts'
import type { Teller } from './scope.ts'

const NAME = 'default'

/** Looks at the settings again when a brake changes. Where there are none, its record is what is told of. */
export function watchPlatformSettings(caches: Caches, enqueue: Enqueue, { now, emit }: Teller): void {
  const { brakes, platformSettings } = caches
  brakes.onChange((_before, after) => {
    if (platformSettings.get(NAME)) return enqueue(NAME)
    if (!after) return undefined
    const { metadata } = after
    for (const brake of heldBrakes([after], defaultDeletion, now())) {
      emit({ apiVersion: 'v1', kind: 'ConfigMap', metadata }, latchedNews(brake))
    }
    return undefined
  })
}

import type { Condition } from '../../crds/common.ts'
import type { Resource } from '../../crds/kind.ts'
import type { Report } from './run-phases.ts'

/** Makes conditions of reports. A time moves only when its status does. */
export function toConditions(
  current: readonly Condition[],
  reports: readonly Report[],
  observedGeneration: number,
  now: Date,
): Condition[] {
  const changed = toSeconds(now)
  return reports.map((report) => {
    const before = current.find(({ type }) => type === report.type)
    const lastTransitionTime = before?.status === report.status ? before.lastTransitionTime : changed
    return { ...report, observedGeneration, lastTransitionTime }
  })
}

// The API server keeps times to the second.
function toSeconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

/** Whether all was as the present spec says when it was last looked at. */
export function isWell({ metadata, status }: Resource): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status !== 'True' || metadata.deletionTimestamp !== undefined) return false
  return ready.observedGeneration === metadata.generation
}

export interface News {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** What a person would call news: that the object became ready, that it no longer is, and what only they can mend. */
export function news(current: readonly Condition[], ready: Report, blocked: Report | undefined): News[] {
  const items: News[] = []
  if (blocked && !isTold(current, blocked)) {
    items.push({ type: 'Warning', reason: blocked.reason, message: blocked.message })
  }
  const before = current.find(({ type }) => type === 'Ready')
  if (isNews(before, ready) && ready.reason !== blocked?.reason) {
    items.push({ type: 'Normal', reason: ready.reason, message: ready.message || 'Everything is as the spec says' })
  }
  return items
}

/** That it is ready, or in another way than before; or that it no longer is. */
function isNews(before: Condition | undefined, { status, reason }: Report): boolean {
  if (status === 'True') return before?.status !== 'True' || before.reason !== reason
  return before?.status === 'True'
}

function isTold(current: readonly Condition[], { type, status, reason, message }: Report): boolean {
  const before = current.find((condition) => condition.type === type)
  return before?.status === status && before.reason === reason && before.message === message
}

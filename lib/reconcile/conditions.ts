import type { Condition } from '../../crds/common.ts'
import type { Report } from './run-phases.ts'

/** Makes conditions of reports. A time moves only when its status does. */
export function toConditions(
  current: readonly Condition[],
  reports: readonly Report[],
  observedGeneration: number,
  now: Date,
): Condition[] {
  return reports.map((report) => {
    const before = current.find(({ type }) => type === report.type)
    const lastTransitionTime = before?.status === report.status ? before.lastTransitionTime : toSeconds(now)
    return { ...report, observedGeneration, lastTransitionTime }
  })
}

// The API server keeps times to the second.
function toSeconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

export interface News {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** What a person would call news: that the object became ready, that it no longer is, and what only they can mend. */
export function news(
  before: Condition | undefined,
  { status, reason, message }: Report,
  blocked: boolean,
): News | undefined {
  const turned = before?.status !== status
  if (blocked) {
    const told = !turned && before.reason === reason && before.message === message
    return told ? undefined : { type: 'Warning', reason, message }
  }
  if (!turned) return undefined
  if (status === 'True') return { type: 'Normal', reason: 'Ready', message: 'Everything is as the spec says' }
  return before?.status === 'True' ? { type: 'Normal', reason, message } : undefined
}

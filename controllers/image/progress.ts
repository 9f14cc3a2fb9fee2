import type { Answer, Scope } from './scope.ts'

/** A step that is told at once, in percent. */
const STEP = 10
/** Smaller ones are told so often. */
const TELL_MS = 30_000

/** Notes how far the fastest host is, seldom enough that the API server does not notice. */
export function noteProgress({ image, status, deps, toldAtMs }: Scope, answers: readonly Answer[]): void {
  const { uid } = image.metadata
  const percent = Math.max(-1, ...answers.map(percentOf))
  if (percent < 0 || percent === status.progress) return
  const nowMs = deps.clock.monotonicMs()
  const isStep = status.progress === undefined || Math.abs(percent - status.progress) >= STEP
  const isDue = nowMs - (toldAtMs.get(uid) ?? -TELL_MS) >= TELL_MS
  if (!isStep && !isDue) return
  status.progress = percent
  toldAtMs.set(uid, nowMs)
}

/** Of the download. One that has all is not ready before it is checked. -1 where nobody knows. */
function percentOf({ answer }: Answer): number {
  if (answer?.state === 'Checking') return 100
  if (answer?.state !== 'Downloading' || answer.totalBytes === undefined) return -1
  return Math.min(100, Math.floor((answer.receivedBytes * 100) / Math.max(1, answer.totalBytes)))
}

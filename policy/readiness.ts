import type { BaseStatus } from '../crds/kind.ts'

/** Why an object cannot be used yet, as its own Ready condition says; nothing when it can. */
export function notReady({ status }: { readonly status?: BaseStatus | undefined }): string | undefined {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status === 'True') return undefined
  return ready === undefined || ready.message === '' ? 'it was not looked at yet' : ready.message
}

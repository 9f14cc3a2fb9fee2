import { downloadOf } from '../../crds/image.ts'
import { OriginReason, originOf, targetOf, type RecycledResource } from '../../crds/recycled-resource.ts'
import { decided, waiting, type Outcome } from '../../lib/reconcile/outcome.ts'
import type { Scope } from './scope.ts'

/**
 * Takes over what hosts downloaded for an Image that comes from the recycle bin, so that it is somebody's before its entry
 * goes: a host that is away now has it too. Nothing when it has, or when its manifest asks for another file by now.
 */
export function recoverDownload(scope: Scope): Outcome | undefined {
  const { image, status } = scope
  const download = grantOf(scope)?.spec.contents?.download
  if (!download || download.sha256 !== downloadOf(image)?.sha256) return undefined
  const told = new Set(status.downloadHosts)
  if (status.downloadHosts && download.hosts.every((host) => told.has(host))) return undefined
  status.downloadHosts = [...told.union(new Set(download.hosts))].toSorted()
  return decided
}

/** What comes first when such an Image is deleted: what it was is in one entry at any time. */
export function settleOrigin(scope: Scope): Outcome | undefined {
  if (!grantOf(scope)) return undefined
  const message = 'It is being brought back from the recycle bin, and goes there again then'
  return recoverDownload(scope) ?? waiting(OriginReason.Recovering, message)
}

/** The entry that is being brought back as this very object. The annotation alone gives nothing. */
function grantOf({ image: { kind, metadata }, deps }: Scope): RecycledResource | undefined {
  const entry = deps.bin.find(originOf(metadata) ?? '')
  if (entry?.status?.phase !== 'Recovering' || entry.spec.resource.kind !== kind) return undefined
  const { namespace, name } = targetOf(entry)
  return namespace === metadata.namespace && name === metadata.name ? entry : undefined
}

import { AgentError } from '../../../agent/errors.ts'
import { downloadOf, ImageCondition, ImageReason } from '../../../crds/image.ts'
import { done, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { contentsOfImage } from '../../../policy/recycled-contents.ts'
import { isOpen } from '../../recycle-bin/bin.ts'
import { settleOrigin } from '../recover.ts'
import type { Scope } from '../scope.ts'

const RETRY_MS = 5_000

/** Puts the image into the recycle bin, with what hosts downloaded for it; or has that removed, where its policy says so. */
export const removeImage: Phase<Scope> = {
  condition: ImageCondition.CleanedUp,

  async run(scope) {
    const { image, deps } = scope
    scope.toldAtMs.delete(image.metadata.uid)
    const coming = settleOrigin(scope)
    if (coming) return coming
    const entry = await deps.bin.open(image)
    if (!entry || !isOpen(entry)) return done
    if (entry.spec.deletion.policy === 'Immediate') return removeDownloads(scope)
    await deps.bin.close(await deps.bin.fill(entry, contentsOfImage(image)))
    return done
  },
}

/** Has every host that was told to download the file end that and remove it, unless it is kept for another image too. */
async function removeDownloads({ image, status, deps }: Scope): Promise<Outcome> {
  const sha256 = downloadOf(image)?.sha256
  if (sha256 === undefined) return done
  const others = deps.downloadedAs(sha256).filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  // What is shared is removed with the last of them.
  const shared = new Set([
    ...others.flatMap((other) => other.status?.downloadHosts ?? []),
    ...deps.bin.ofDownload(sha256).flatMap(({ spec }) => spec.contents?.download?.hosts ?? []),
  ])
  const own = (status.downloadHosts ?? []).filter((host) => !shared.has(host))
  const outcomes = await Promise.all(own.map((host) => removeFrom(host, sha256, deps)))
  return outcomes.find(({ type }) => type !== 'done') ?? done
}

async function removeFrom(name: string, sha256: string, deps: Scope['deps']): Promise<Outcome> {
  const host = deps.fleet.get(name)
  if (!host) return done // Who deleted the Host has given up what is on it.
  if (host.state !== 'Connected') return unreachable(name)
  try {
    await host.agent.deleteImage(sha256)
    return done
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'UNREACHABLE') return unreachable(name, RETRY_MS)
    return waiting(ImageReason.HostRefused, `Host ${name} cannot remove the file: ${error.message}`, RETRY_MS)
  }
}

function unreachable(name: string, retryAfterMs?: number): Outcome {
  const message = `Host ${name} does not answer; the file is removed there when it does, or when the Host is deleted`
  return waiting(ImageReason.HostUnreachable, message, retryAfterMs)
}

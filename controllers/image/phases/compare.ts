import { ImageCondition, ImageReason } from '../../../crds/image.ts'
import { done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Answer, Scope } from '../scope.ts'

const LOOK_AGAIN_MS = 60_000

/** Says where a file of this name is another one. Disks are not made from it there. */
export const compareFiles: Phase<Scope> = {
  condition: ImageCondition.SameOnAllHosts,
  informs: true,

  run({ image, answers, status: { sha256 = '' } }) {
    if (image.spec.source.http) return done // It is named by its digest.
    const others = answers.filter((answer) => isAnother(answer, sha256)).map(({ name }) => name)
    if (others.length === 0) return done
    const message = `The file differs on ${others.slice(0, 5).join(', ')}: put the one with SHA-256 ${sha256} there`
    return waiting(ImageReason.FilesDiffer, message, LOOK_AGAIN_MS)
  },
}

function isAnother({ answer }: Answer, sha256: string): boolean {
  if (answer?.state === 'Verified') return answer.sha256 !== sha256
  return answer?.state === 'Refused' && answer.code === ImageReason.ChecksumMismatch
}

import type { DesiredImage } from '../../agent/contract.ts'
import { downloadOf, ImageReason } from '../../crds/image.ts'
import { blocked, type Outcome } from '../../lib/reconcile/outcome.ts'
import { toBytes } from '../../policy/quantity.ts'
import type { Scope } from './scope.ts'

/** A ConfigMap does not tell when it is made. */
const LOOK_AGAIN_MS = 30_000

/** The order to download an image, under the settings of now; or why it cannot be given. Nothing for an import file. */
export async function downloadOrder(scope: Scope): Promise<DesiredImage | Outcome | undefined> {
  const { image, deps } = scope
  const wanted = downloadOf(image)
  if (!wanted) return undefined
  const caBundle = await caBundleOf(scope)
  if (typeof caBundle === 'object') return caBundle
  const { allowedNetworks, maxImageSize } = deps.settings()
  return {
    ...wanted,
    format: image.spec.format,
    ...(caBundle !== undefined && { caBundle }),
    maxBytes: toBytes(maxImageSize),
    allowedNetworks,
  }
}

async function caBundleOf({ image: { metadata, spec }, deps }: Scope): Promise<string | Outcome | undefined> {
  const { inline, configMapKeyRef } = spec.source.http?.caBundle ?? {}
  if (!configMapKeyRef) return inline
  const { name, key } = configMapKeyRef
  const found = await deps.configMapValue(metadata.namespace ?? '', name, key)
  if (found !== undefined && found.length <= MAX_BUNDLE_LENGTH) return found
  const what =
    found === undefined
      ? `There is no ConfigMap ${name} with a key ${key}`
      : `The key ${key} of ConfigMap ${name} is too long`
  return blocked(ImageReason.CABundleUnusable, `${what}: put the PEM certificates there`, LOOK_AGAIN_MS)
}

const MAX_BUNDLE_LENGTH = 65_536

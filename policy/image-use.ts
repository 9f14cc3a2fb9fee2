import type { Image } from '../crds/image.ts'
import { knownBytes, toBytes, toSize } from './quantity.ts'
import { notReady } from './readiness.ts'

export interface ImageUse {
  readonly namespace: string
  readonly name: string
  /** Size of the disk to be made, as a quantity; the image's own when it is not given. */
  readonly size?: string | undefined
}

export interface ImageObjection {
  readonly reason: 'ImageNotFound' | 'ImageNotReady' | 'DiskTooSmall'
  readonly message: string
  /** Nothing but a change by the user helps. */
  readonly final: boolean
}

/** Size of the disk in an image, as a spec can name it: the smallest disk that can be made from it. Undefined until it is known. */
export function sizeOf({ status }: Image): string | undefined {
  const bytes = knownBytes(status?.virtualSize)
  return bytes === undefined ? undefined : toSize(bytes)
}

/** Why no disk can be made from an image, or nothing when one can. */
export function imageObjection(
  image: Image | undefined,
  { namespace, name, size }: ImageUse,
): ImageObjection | undefined {
  if (!image) {
    return {
      reason: 'ImageNotFound',
      message: `There is no Image ${name} in namespace ${namespace}: create it`,
      final: true,
    }
  }
  const smallest = sizeOf(image)
  const obstacle = notReady(image) ?? (smallest === undefined ? 'its size is not known yet' : undefined)
  if (obstacle !== undefined)
    return { reason: 'ImageNotReady', message: `Image ${name} is not ready: ${obstacle}`, final: false }
  if (size === undefined || toBytes(size) >= (knownBytes(image.status?.virtualSize) ?? 0)) return undefined
  const message = `A disk of ${size} is smaller than Image ${name}: ask for ${smallest} or more`
  return { reason: 'DiskTooSmall', message, final: true }
}

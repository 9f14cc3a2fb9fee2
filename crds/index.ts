import { DataStorage } from './data-storage.ts'
import { brakedKindNames } from './deletion.ts'
import { Disk } from './disk.ts'
import { Host } from './host.ts'
import { Image } from './image.ts'
import type { Kind } from './kind.ts'
import { PlatformSettings } from './platform-settings.ts'
import { RecycledResource } from './recycled-resource.ts'
import { VirtualMachine } from './virtual-machine.ts'

/** Every kind. Manifests, admission policies and permissions are made from this list. */
export const kinds: readonly Kind[] = [
  VirtualMachine,
  Host,
  Disk,
  Image,
  DataStorage,
  PlatformSettings,
  RecycledResource,
]

/** Those whose objects belong to a person: admission labels each with its owner. */
export const ownedKinds: readonly Kind[] = [VirtualMachine, Disk, Image]

/** Those of which nobody deletes many at once. */
export const brakedKinds = kinds.filter(({ kind }) => brakedKindNames.some((name) => name === kind))

import type { OpenableDisk } from '../storage/storage.ts'

export interface FileNode {
  readonly driver: 'file'
  readonly 'node-name': string
  readonly filename: string
  readonly aio: 'threads'
  readonly locking: 'on'
  readonly discard: 'unmap'
  readonly 'read-only': boolean
  readonly cache: { readonly direct: boolean; readonly 'no-flush': false }
}

export interface FormatNode {
  readonly driver: 'qcow2' | 'raw'
  readonly 'node-name': string
  readonly file: string
  readonly discard: 'unmap'
  readonly 'read-only': boolean
  /** Given always where the format knows one: what a file's own header says about it is never followed. */
  readonly backing?: string | null
}

/** Name of the node that a disk's device is attached to. */
export function topNode(slot: number): string {
  return nodeName(slot, 0)
}

/** The device of a disk, for `-device` and `device_add`. */
export function diskDevice({ id }: Pick<OpenableDisk, 'id'>, slot: number) {
  return {
    driver: 'virtio-blk-pci',
    id: deviceId(slot),
    bus: `disk-port-${slot}`,
    drive: topNode(slot),
    // What the guest sees as /dev/disk/by-id/virtio-<serial>. Virtio has room for 20 characters.
    serial: id.slice(0, 20),
    werror: 'stop',
    rerror: 'stop',
  }
}

/** Name of the device in a slot. */
export function deviceId(slot: number): string {
  return `disk-${slot}`
}

/** The nodes of one disk in the order QEMU needs them: a layer after the one that it is backed by. */
export function blockGraph({ layers }: OpenableDisk, index: number, directIo: boolean): (FileNode | FormatNode)[] {
  return layers
    .map((layer, depth) => layerNodes(layer, { index, depth, isLast: depth === layers.length - 1, directIo }))
    .toReversed()
    .flat()
}

interface Place {
  readonly index: number
  readonly depth: number
  readonly isLast: boolean
  readonly directIo: boolean
}

function layerNodes({ path, format }: OpenableDisk['layers'][number], place: Place): (FileNode | FormatNode)[] {
  const name = nodeName(place.index, place.depth)
  const readOnly = place.depth > 0
  const file: FileNode = {
    driver: 'file',
    'node-name': `${name}-file`,
    filename: path,
    aio: 'threads',
    locking: 'on',
    discard: 'unmap',
    'read-only': readOnly,
    cache: { direct: place.directIo, 'no-flush': false },
  }
  const backing = place.isLast ? null : nodeName(place.index, place.depth + 1)
  const formatNode: FormatNode = {
    driver: format,
    'node-name': name,
    file: file['node-name'],
    discard: 'unmap',
    'read-only': readOnly,
    ...(format === 'qcow2' ? { backing } : {}),
  }
  return [file, formatNode]
}

// QEMU allows 31 characters.
function nodeName(index: number, depth: number): string {
  return depth === 0 ? `disk-${index}` : `disk-${index}-base-${depth}`
}

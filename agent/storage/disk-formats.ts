/** Bytes of both ends of a file that `recogniseFormat` looks at. */
export const FORMAT_HEAD_BYTES = 2048
export const FORMAT_TAIL_BYTES = 512

interface Signature {
  readonly format: string
  readonly at: number
  readonly bytes: string | Buffer
}

const signatures: readonly Signature[] = [
  { format: 'qcow2', at: 0, bytes: Buffer.from([0x51, 0x46, 0x49, 0xfb]) },
  { format: 'VMDK', at: 0, bytes: 'KDMV' },
  { format: 'VMDK', at: 0, bytes: 'COWD' },
  { format: 'VDI', at: 0x40, bytes: Buffer.from([0x7f, 0x10, 0xda, 0xbe]) },
  { format: 'VHDX', at: 0, bytes: 'vhdxfile' },
  { format: 'VHD', at: 0, bytes: 'conectix' },
  { format: 'QED', at: 0, bytes: Buffer.from('QED\0') },
  { format: 'LUKS', at: 0, bytes: Buffer.from([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]) },
  { format: 'Parallels', at: 0, bytes: 'WithoutFreeSpace' },
  { format: 'Parallels', at: 0, bytes: 'WithouFreSpacExt' },
  { format: 'Bochs', at: 0, bytes: 'Bochs Virtual HD Image' },
  { format: 'cloop', at: 0, bytes: '#!/bin/sh\n#V2.0 Format\n' },
]

// The text file that names the parts of a VMDK: comments and blank lines, then its version, as QEMU recognises it.
const vmdkDescriptor = /^(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*version[ \t]*=[ \t]*[123]/

/**
 * The format that a file shows by its own bytes; undefined for one that looks like a plain disk. A file that is
 * taken as raw while it carries a header would be opened as what the header says by whoever forgets to name the format.
 */
export function recogniseFormat(head: Buffer, tail: Buffer): string | undefined {
  const found = signatures.find(({ at, bytes }) => {
    const wanted = Buffer.from(bytes)
    return head.subarray(at, at + wanted.length).equals(wanted)
  })
  if (found) return found.format
  if (tail.subarray(0, 8).equals(Buffer.from('conectix'))) return 'VHD'
  if (tail.subarray(0, 4).equals(Buffer.from('koly'))) return 'DMG'
  const text = head.toString('latin1')
  return text.includes('# Disk DescriptorFile') || vmdkDescriptor.test(text) ? 'VMDK' : undefined
}

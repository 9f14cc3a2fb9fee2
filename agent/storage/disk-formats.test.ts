import { expect, test } from 'vitest'
import { recogniseFormat } from './disk-formats.ts'

function file(at: number, text: string): Buffer {
  const bytes = Buffer.alloc(2048)
  bytes.write(text, at, 'latin1')
  return bytes
}

const nothing = Buffer.alloc(512)

test.each([
  ['qcow2', file(0, 'QFI\xfb')],
  ['VMDK', file(0, 'KDMV')],
  ['VMDK', file(0, 'COWD')],
  ['VMDK', file(0, '# Disk DescriptorFile\nversion=1\nRW 1 FLAT "/etc/shadow" 0\n')],
  ['VMDK', file(0, '# a harmless comment\r\n\n version = 1\nRW 1 FLAT "/etc/shadow" 0\n')],
  ['VDI', file(64, '\x7f\x10\xda\xbe')],
  ['VHDX', file(0, 'vhdxfile')],
  ['VHD', file(0, 'conectix')],
  ['QED', file(0, 'QED\0')],
  ['LUKS', file(0, 'LUKS\xba\xbe')],
  ['Parallels', file(0, 'WithouFreSpacExt')],
  ['Bochs', file(0, 'Bochs Virtual HD Image')],
  ['cloop', file(0, '#!/bin/sh\n#V2.0 Format\n')],
])('[IMG-11] recognises %s', (format, head) => {
  expect(recogniseFormat(head, nothing)).toBe(format)
})

test.each([
  ['VHD', 'conectix'],
  ['DMG', 'koly'],
])('[IMG-11] recognises %s by its end', (format, text) => {
  expect(recogniseFormat(nothing, file(0, text))).toBe(format)
})

test.each([
  ['a blank disk', nothing],
  ['a boot sector', file(510, '\x55\xaa')],
  ['a script', file(0, '#!/bin/sh\nversion=7\n')],
  ['a short file', Buffer.from('QF')],
])('takes %s for a plain disk', (_name, head) => {
  expect(recogniseFormat(head, nothing)).toBeUndefined()
})

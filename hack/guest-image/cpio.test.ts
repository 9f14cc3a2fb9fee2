import { expect, test } from 'vitest'
import { cpio } from './cpio.ts'

const zero = '00000000'

test('cpio writes the bytes of the new ASCII format, aligned to four', () => {
  const archive = cpio([
    { type: 'directory', name: 'etc' },
    { type: 'file', name: 'etc/hello', content: Buffer.from('hello') },
    { type: 'file', name: 'run', content: Buffer.from('#!sh'), executable: true },
    { type: 'symlink', name: 'init', target: 'run' },
  ])

  const directory = `07070100000001000041ed${zero}${zero}00000001${zero.repeat(6)}00000004${zero}etc\0\0\0`
  const file = `07070100000002000081a4${zero}${zero}00000001${zero}00000005${zero.repeat(4)}0000000a${zero}etc/hello\0hello\0\0\0`
  const program = `07070100000003000081ed${zero}${zero}00000001${zero}00000004${zero.repeat(4)}00000004${zero}run\0\0\0#!sh`
  const link = `070701000000040000a1ff${zero}${zero}00000001${zero}00000003${zero.repeat(4)}00000005${zero}init\0\0run\0`
  const trailer = `070701${zero.repeat(4)}00000001${zero.repeat(6)}0000000b${zero}TRAILER!!!\0\0\0\0`
  expect(archive.toString('latin1')).toBe(directory + file + program + link + trailer)
})

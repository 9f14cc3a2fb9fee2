import { expect, test } from 'vitest'
import { toSentence } from './launch.ts'

test.each([
  ['', 'QEMU ended without a message'],
  ['qemu-system-x86_64: cannot set up guest memory\n', 'cannot set up guest memory'],
  ['qemu-system-x86_64: bad\nqemu-system-x86_64: warning: TCG does not\n\n', 'bad'],
  ['qemu-system-x86_64: -blockdev {"driver":"file","filename":"/d/x"}: Could not open', 'Could not open'],
  ["qemu: -machine pc-q35-9,accel=tcg: unsupported machine type\nUse '-machine help'", 'unsupported machine type'],
  ['qemu: cannot create PID file: Cannot lock /run/h/0000/pid', 'cannot create PID file: Cannot lock pid'],
  ["qemu: Could not open '/srv/a b/x.qcow2': Permission denied", "Could not open 'x.qcow2': Permission denied"],
  ['x'.repeat(1000), 'x'.repeat(300)],
])('What QEMU prints becomes one sentence: %j', (text, sentence) => {
  expect(toSentence(text)).toBe(sentence)
})

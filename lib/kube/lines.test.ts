import { expect, test } from 'vitest'
import { splitLines } from './lines.ts'

async function linesOf(chunks: readonly (string | Uint8Array)[], maxBytes = 100): Promise<string[]> {
  async function* stream() {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  return Array.fromAsync(splitLines(stream(), maxBytes))
}

const umlaut = Buffer.from('ü')

test.each([
  ['several lines in one chunk', ['a\nb\n'], ['a', 'b']],
  ['a line over several chunks', ['a', 'b', 'c\nd', '\n'], ['abc', 'd']],
  ['a last line without an end', ['a\nb'], ['a', 'b']],
  ['an empty line', ['a\n\nb\n'], ['a', '', 'b']],
  ['a character cut in two', [umlaut.subarray(0, 1), umlaut.subarray(1), '\n'], ['ü']],
  ['nothing', [], []],
])('splitLines takes %s', async (_name, chunks, lines) => {
  expect(await linesOf(chunks)).toEqual(lines)
})

test.each([
  ['whole in a chunk', ['12345\n']],
  ['over several chunks', ['123', '45\n']],
  ['without an end', ['123', '45']],
])('splitLines refuses a line that is too long, %s', async (_name, chunks) => {
  await expect(linesOf(chunks, 4)).rejects.toThrow(new RangeError('a line of more than 4 bytes'))
  expect(await linesOf(chunks, 5)).toEqual(['12345'])
})

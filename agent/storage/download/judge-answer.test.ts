import { describe, expect, test } from 'vitest'
import { judgeAnswer, rangeOf, type Part } from './judge-answer.ts'

const now = new Date('2026-01-01T00:00:00Z')
const part: Part = { bytes: 100, etag: '"a"', totalBytes: 1000 }
const untagged: Part = { bytes: 100 }

function judge(from: Part, status: number, headers: Record<string, string> = {}) {
  return judgeAnswer(from, { server: 'files', status, header: (name) => headers[name] }, now)
}

test.each<[string, Part, object]>([
  ['of which nothing is there is asked for as a whole', { bytes: 0, etag: '"a"' }, {}],
  ['with a strong tag is asked for on its condition', part, { range: 'bytes=100-', 'if-range': '"a"' }],
  ['without a tag is asked for all the same', untagged, { range: 'bytes=100-' }],
])('A file %s', (_name, from, headers) => {
  expect(rangeOf(from)).toEqual(headers)
})

const range = (text: string, more: object = {}) => ({ 'content-range': text, ...more })

describe('An answer to a request for the rest', () => {
  test.each<[string, Part, Record<string, string>, object]>([
    ['goes on', part, range('bytes 100-999/1000', { etag: '"a"' }), { type: 'Append', part }],
    ['goes on without a tag', part, range('bytes 100-999/1000'), { type: 'Append', part }],
    ['goes on in a shorter piece', part, range('bytes 100-199/1000'), { type: 'Append', part }],
    [
      'goes on and tells what nobody knew',
      untagged,
      range('bytes 100-999/1000', { etag: '"b"' }),
      { type: 'Append', part: { bytes: 100, etag: '"b"', totalBytes: 1000 } },
    ],
    ['goes on and does not know how far', part, range('bytes 100-999/*'), { type: 'Append', part }],
    ['has another tag', part, range('bytes 100-999/1000', { etag: '"b"' }), { type: 'Drop' }],
    ['has another length', part, range('bytes 100-1999/2000', { etag: '"a"' }), { type: 'Drop' }],
    ['begins elsewhere', part, range('bytes 0-999/1000'), { type: 'Drop' }],
    ['does not say where it begins', part, {}, { type: 'Drop' }],
    ['is of another unit', part, range('items 100-999/1000'), { type: 'Drop' }],
  ])('%s: %#', (_name, from, headers, verdict) => {
    expect(judge(from, 206, headers)).toEqual(verdict)
  })

  test.each<[string, Record<string, string>, object]>([
    ['is all there is', range('bytes */100'), { type: 'Complete' }],
    ['is more than there is', range('bytes */50'), { type: 'Drop' }],
    ['is nobody knows what', {}, { type: 'Drop' }],
  ])('says that what is there %s', (_name, headers, verdict) => {
    expect(judge(untagged, 416, headers)).toEqual(verdict)
  })

  test.each<[string, Record<string, string>, object]>([
    ['strong', { etag: '"b"', 'content-length': '7' }, { bytes: 0, etag: '"b"', totalBytes: 7 }],
    ['weak', { etag: 'W/"b"' }, { bytes: 0 }],
    ['no', { 'content-length': 'many' }, { bytes: 0 }],
    ['a broken', { etag: 'b', 'content-length': '-1' }, { bytes: 0 }],
    ['a dangerous', { etag: '"b\r\nx: y"' }, { bytes: 0 }],
  ])('with the whole file and %s tag begins anew', (_name, headers, wanted) => {
    expect(judge(part, 200, headers)).toEqual({ type: 'Anew', part: wanted })
  })
})

test.each<[number, Record<string, string>, object]>([
  [500, {}, { code: 'DownloadFailed', isPassing: true, retryAfterMs: undefined }],
  [503, { 'retry-after': '7' }, { isPassing: true, retryAfterMs: 7000 }],
  [429, { 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }, { isPassing: true, retryAfterMs: 60_000 }],
  [429, { 'retry-after': '999999999' }, { isPassing: true, retryAfterMs: 600_000 }],
  [429, { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, { isPassing: true, retryAfterMs: 0 }],
  [429, { 'retry-after': 'soon' }, { isPassing: true, retryAfterMs: undefined }],
  [408, {}, { isPassing: true }],
  [404, {}, { code: 'FileNotFound', isPassing: false }],
  [410, {}, { code: 'FileNotFound', isPassing: false }],
  [401, {}, { code: 'ServerRefused', isPassing: false }],
  [403, {}, { code: 'ServerRefused', isPassing: false }],
  [451, {}, { code: 'ServerRefused', isPassing: false }],
  [204, {}, { code: 'AnswerUnusable', isPassing: false }],
  [304, {}, { code: 'AnswerUnusable', isPassing: false }],
  [200, { 'content-encoding': 'br' }, { code: 'AnswerUnusable', isPassing: false }],
  [206, { 'content-encoding': 'gzip', ...range('bytes 100-999/1000') }, { code: 'AnswerUnusable' }],
])('HTTP %i with %j is an error', (status, headers, wanted) => {
  expect(() => judge(part, status, headers)).toThrow(expect.objectContaining(wanted))
})

test('A part that nobody asked for is an error', () => {
  expect(() => judge({ bytes: 0 }, 206, range('bytes 0-9/10'))).toThrow(/was not asked for/)
})

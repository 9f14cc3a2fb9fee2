import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLog } from './log.ts'

test('a log cuts what an error quotes', () => {
  let text = ''
  const log = createLog('test', 'info', new Writable({ write: (chunk, _, next) => next(void (text += String(chunk))) }))
  const more = { code: 'TooLong', issues: ['y'.repeat(1_000_000)] }
  log.error({ err: Object.assign(new Error('x'.repeat(1_000_000)), more) }, 'it failed')
  expect(text.length).toBeLessThan(20_000)
  expect(text).toContain('"code":"TooLong"')
})

test('a log writes one JSON object a line, without what is secret in it', () => {
  let text = ''
  const log = createLog('test', 'info', new Writable({ write: (chunk, _, next) => next(void (text += String(chunk))) }))
  log.info({ password: 'hunter2', machine: 'web' }, 'one')
  log.warn({ request: { authorization: 'Bearer hunter2', token: 'hunter2', secret: 'hunter2', key: 'hunter2' } }, 'two')
  log.debug('three')
  const lines = text.trimEnd().split('\n')
  expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
    { name: 'test', machine: 'web', password: '[redacted]', msg: 'one' },
    { request: { authorization: '[redacted]', token: '[redacted]' }, msg: 'two' },
  ])
  expect(text).not.toContain('hunter2')
})

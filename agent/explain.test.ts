import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'
import { explainStart } from './explain.ts'
import { FolderInUse } from './lock.ts'

const config = parseConfig({
  HOLDFAST_AGENT_NAME: 'host-1',
  HOLDFAST_AGENT_STATE_DIR: '/no/such/state',
  HOLDFAST_AGENT_RUN_DIR: '/no/such/run',
  HOLDFAST_AGENT_IMPORT_DIR: '/no/such/import',
  HOLDFAST_AGENT_TLS_CERT: '/no/such/tls.crt',
  HOLDFAST_AGENT_TLS_KEY: '/no/such/tls.key',
  HOLDFAST_AGENT_CLIENT_CA: '/etc',
})

async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    return error
  }
}

test.each([
  ['/no/such/tls.crt', 'HOLDFAST_AGENT_TLS_CERT', 'ENOENT'],
  ['/no/such/tls.key', 'HOLDFAST_AGENT_TLS_KEY', 'ENOENT'],
  ['/no/such/state/machines', 'HOLDFAST_AGENT_STATE_DIR', 'ENOENT'],
  ['/no/such/state/images/one', 'HOLDFAST_AGENT_DOWNLOAD_DIR', 'ENOENT'],
])('an agent that cannot read %s names %s', async (path, variable, code) => {
  const sentence = explainStart(await failureOf(() => readFile(path)), config)
  expect(sentence).toMatch(`what ${variable} names cannot be used: ${code}: `)
  expect(sentence).toMatch(/put it there, or name another one$/)
})

test('an agent says what the system says of a path that is of no variable', async () => {
  const error = await failureOf(() => readFile('/no/such/other'))
  expect(explainStart(error, config)).toBe("ENOENT: no such file or directory, open '/no/such/other'")
})

test('an agent whose certificate is none names the variables', async () => {
  const error = await failureOf(() => createServer({ cert: 'garbage', key: 'garbage' }))
  expect(explainStart(error, config)).toMatch(/^the files in HOLDFAST_AGENT_TLS_CERT, .* name PEM files that belong/)
})

test('an agent whose folder is in use says so, and has no sentence for what nobody can help with', () => {
  expect(explainStart(new FolderInUse('/f', '7'), config)).toContain('/f is used by another agent (process 7)')
  expect(explainStart(new TypeError('a mistake of ours'), config)).toBeUndefined()
})

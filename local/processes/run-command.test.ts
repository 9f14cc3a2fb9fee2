import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runCommand, type Command } from './run-command.ts'

async function sh(script: string, rest: Partial<Command> = {}) {
  return runCommand({ command: '/bin/sh', args: ['-c', script], timeoutMs: 10_000, ...rest })
}

test.each<[string, string, Partial<Command>, object]>([
  ['what it prints', 'echo a; echo b >&2', {}, { code: 0, stdout: 'a\n', stderr: 'b\n' }],
  ['its exit code', 'exit 3', {}, { code: 3, stdout: '', stderr: '' }],
  ['that a signal ended it', 'kill -9 $$', {}, { code: 128 }],
  ['what it was given', 'cat', { input: 'text' }, { stdout: 'text' }],
  ['its folder', 'pwd', { cwd: '/' }, { stdout: '/\n' }],
  ['its environment, which is all it has', 'echo "$A$HOME"', { env: { A: 'a' } }, { stdout: 'a\n' }],
  ['what it did without reading its input', 'exit 0', { input: 'x'.repeat(1e6) }, { code: 0 }],
])('a command answers with %s', async (_name, script, rest, result) => {
  expect(await sh(script, rest)).toMatchObject(result)
})

test('a command tells of each line that it writes as an error', async () => {
  const lines: string[] = []
  await sh('echo a >&2; echo b; printf c >&2', { onLine: (line) => lines.push(line) })
  expect(lines).toEqual(['a', 'c'])
})

test('a command that prints without end does not fill the memory', async () => {
  const { stdout } = await sh('head -c 20000000 /dev/zero')
  expect(stdout.length).toBeLessThanOrEqual(8 * 1024 * 1024)
})

test('a command that takes too long is ended', async () => {
  const endless = sh('exec sleep 60', { timeoutMs: 50 })
  await expect(endless).rejects.toMatchObject({ code: 'COMMAND_FAILED', message: '/bin/sh did not end within 0.05 s' })
})

test('a command whose caller gives up is dead when it is reported, even when it started others', async () => {
  const abort = new AbortController()
  let pid = ''
  const onLine = (line: string) => {
    pid = line
    abort.abort()
  }
  const endless = sh('sleep 2 & echo $$ >&2; wait', { signal: abort.signal, onLine })
  const isThere = endless.catch(() => existsSync(`/proc/${pid}`))
  await expect(endless).rejects.toMatchObject({ name: 'AbortError' })
  expect([pid, await isThere]).toEqual([expect.stringMatching(/^\d+$/), false])
  await expect(sh('exec sleep 60', { signal: abort.signal })).rejects.toMatchObject({ name: 'AbortError' })
})

test('a program that is not there is said to be missing', async () => {
  const missing = runCommand({ command: 'no-such-program', args: [], timeoutMs: 1_000 })
  await expect(missing).rejects.toMatchObject({
    code: 'COMMAND_MISSING',
    message: 'there is no program no-such-program',
  })
})

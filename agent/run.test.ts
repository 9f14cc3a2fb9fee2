import { expect, test } from 'vitest'
import { run } from './run.ts'

test('returns what a program prints and ends with', async () => {
  const finished = await run('sh', ['-c', 'echo out; echo err >&2; exit 3'])
  expect(finished).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' })
})

test('gives a program its arguments as they are', async () => {
  const { stdout } = await run('printf', ['%s|', 'a b', '$HOME', '; exit 1'])
  expect(stdout).toBe('a b|$HOME|; exit 1|')
})

test('gives a program nothing of our environment', async () => {
  expect((await run('env', [])).stdout).toBe('MALLOC_ARENA_MAX=1\n')
})

test('gives a program nothing to read', async () => {
  expect(await run('cat', [])).toMatchObject({ code: 0, stdout: '' })
})

test.each(['no-such-program', '/no/such/program', '/etc/passwd'])(
  'says that there is no program %s',
  async (program) => {
    await expect(run(program, [])).rejects.toMatchObject({ code: 'ENOENT' })
  },
)

test('ends a program that takes too long', async () => {
  await expect(run('sleep', ['60'], { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' })
})

test('keeps a program from using too much memory', async () => {
  const { code, stderr } = await run('tail', ['/dev/zero'], { memoryBytes: 64 * 2 ** 20 })
  expect(code).not.toBe(0)
  expect(stderr).toContain('memory')
})

test('keeps a program from writing files', async () => {
  const { code } = await run('dd', ['if=/dev/zero', 'of=/dev/shm/holdfast-too-large', 'count=1'], {
    fileBytes: 0,
  }).catch((error: unknown) => error as { code: string })
  expect(['KILLED', 1]).toContain(code)
})

test('ends a program that prints without end', async () => {
  await expect(run('yes', [])).rejects.toMatchObject({ code: 'TOO_MUCH_OUTPUT' })
})

test('keeps only the beginning of endless complaints', async () => {
  const { code, stderr } = await run('sh', ['-c', 'yes complaint 2>&1 | head -c 1000000 >&2; exit 1'])
  expect(code).toBe(1)
  expect(stderr.length).toBe(16 * 1024)
})

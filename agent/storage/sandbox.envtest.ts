import { chown, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { probeSandbox, runSandboxed } from './sandbox.ts'
import { newFolder } from './testing.ts'

const limits = { timeoutMs: 10_000, cpuSeconds: 1, memoryBytes: 256 * 2 ** 20, outputBytes: 2 ** 20 }
const kind = await probeSandbox()

async function inside(script: string, sandbox = kind) {
  await using dir = await newFolder()
  const path = join(dir.path, 'input')
  await writeFile(path, 'content', { mode: 0o600 })
  await using input = await open(path, 'r')
  const args = (name: string) => ['-c', script, 'sh', name]
  const finished = await runSandboxed(sandbox, { program: 'sh', args, input, limits })
  expect(await readFile(path, 'utf8')).toBe('content')
  return finished
}

test.each(['None', kind] as const)('a program in the sandbox %s reads its input', async (sandbox) => {
  expect(await inside('cat "$1"', sandbox)).toMatchObject({ code: 0, stdout: 'content' })
})

test.skipIf(process.getuid?.() !== 0)('a sandboxed program reads a file that belongs to another user', async () => {
  await using dir = await newFolder()
  const path = join(dir.path, 'input')
  await writeFile(path, 'content', { mode: 0o600 })
  await chown(path, 12_345, 12_345)
  await using input = await open(path, 'r')
  const finished = await runSandboxed(kind, { program: 'cat', args: (name) => [name], input, limits })
  expect(finished).toMatchObject({ code: 0, stdout: 'content' })
})

test('a sandboxed program uses no more memory than it may', async () => {
  expect((await inside('tail /dev/zero')).code).not.toBe(0)
})

test('a sandboxed program uses no more of the processor than it may', async () => {
  // With bubblewrap it is the child of a process that tells of its end.
  const end = await inside('while :; do :; done').catch((error: unknown) => error)
  expect(end).toMatchObject({ code: expect.toBeOneOf([128 + 9, 128 + 24, 'KILLED']) })
})

test.skipIf(kind === 'None').each([
  ['read a file of the host', 'cat /etc/passwd'],
  ['see the folder of its input', 'ls /tmp'],
  ['see other processes', 'ls /proc/1'],
  ['write its input', 'echo more >> "$1"'],
  ['remove its input', 'rm -f "$1"'],
  ['write where programs are', 'touch /usr/bin/more'],
  ['mount', 'mount -o remount,rw /usr'],
])('[IMG-11] a sandboxed program cannot %s', async (_name, script) => {
  expect((await inside(script)).code).not.toBe(0)
})

test.skipIf(kind === 'None')('[IMG-11] a sandboxed program has no network', async () => {
  // Its own network namespace has one device, which is down.
  expect((await inside('cat /sys/class/net/*/address')).code).not.toBe(0)
  expect((await inside('exec 3<>/dev/tcp/127.0.0.1/1')).code).not.toBe(0)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { identify, type ProcessIdentity } from '../../lib/process-identity.ts'
import { whileFrozen } from './frozen.ts'

interface Writer extends AsyncDisposable {
  readonly process: ProcessIdentity
  size(): Promise<number>
}

/** A process that writes all the time. */
async function newWriter(): Promise<Writer> {
  const folder = await mkdtemp(join(tmpdir(), 'hf-frozen-'))
  const file = join(folder, 'log')
  const program = `const { appendFileSync } = require('node:fs'); setInterval(() => appendFileSync(${JSON.stringify(file)}, 'x'), 1)`
  const child = spawn(process.execPath, ['-e', program], { stdio: 'ignore' })
  const exit = once(child, 'exit')
  await once(child, 'spawn')
  const size = async () =>
    stat(file).then(
      (found) => found.size,
      () => 0,
    )
  while ((await size()) === 0) await sleep(5)
  const found = await identify(child.pid ?? 0)
  if (!found) throw new Error('the writer does not run')
  return {
    process: found,
    size,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await exit
      await rm(folder, { recursive: true })
    },
  }
}

async function grows(writer: Writer): Promise<boolean> {
  const before = await writer.size()
  for (let i = 0; i < 200; i++) {
    if ((await writer.size()) > before) return true
    await sleep(10)
  }
  return false
}

test('A process stands still while its files are copied, and goes on', async () => {
  await using writer = await newWriter()
  const sizes = await whileFrozen(writer.process, async () => {
    const first = await writer.size()
    await sleep(100)
    return [first, await writer.size()]
  })
  expect(sizes[0]).toBe(sizes[1])
  expect(await grows(writer)).toBe(true)
})

test('A process goes on when the copy fails', async () => {
  await using writer = await newWriter()
  const failed = whileFrozen(writer.process, () => Promise.reject(new Error('the disk is full')))
  await expect(failed).rejects.toThrow('the disk is full')
  expect(await grows(writer)).toBe(true)
})

test('A process goes on when whoever copies is killed', async () => {
  await using writer = await newWriter()
  const url = new URL('frozen.ts', import.meta.url).href
  const program = `
    const { whileFrozen } = await import(${JSON.stringify(url)})
    await whileFrozen(${JSON.stringify(writer.process)}, async () => {
      process.stdout.write('frozen')
      await new Promise((resolve) => setTimeout(resolve, 60_000))
    })`
  const copier = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(copier.stdout, 'data')
  const frozenAt = await writer.size()
  await sleep(50)
  expect(await writer.size()).toBe(frozenAt)
  copier.kill('SIGKILL')
  expect(await grows(writer)).toBe(true)
})

test('A process that is another one by now is not stopped', async () => {
  await using writer = await newWriter()
  const other = { ...writer.process, startTime: '1' }
  await expect(whileFrozen(other, () => Promise.resolve())).rejects.toMatchObject({ code: 'NOT_READY' })
  expect((await readFile(`/proc/${writer.process.pid}/stat`, 'utf8')).includes(') T ')).toBe(false)
})

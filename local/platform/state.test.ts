import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { identify } from '../../lib/process-identity.ts'
import { newStateFile, readState, type PlatformState } from './state.ts'

async function newFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hf-state-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

async function running(): Promise<PlatformState> {
  const supervisor = await identify(process.pid)
  if (!supervisor) throw new Error('there is no /proc')
  return { supervisor, phase: 'Starting', since: new Date().toISOString(), kubeconfig: '/k', programs: {} }
}

test('the state of a platform is what it last said, and is written again when it was damaged', async () => {
  await using folder = await newFolder()
  const path = join(folder.path, 'platform.json')
  await using state = newStateFile(path, await running(), () => undefined)
  state.update({ phase: 'Ready' })
  await expect.poll(() => readState(path)).toMatchObject({ phase: 'Ready' })
  await writeFile(path, 'garbage')
  expect(await readState(path)).toBeUndefined()
  state.update({})
  await expect.poll(() => readState(path)).toMatchObject({ phase: 'Ready' })
})

test('a state that cannot be written is told once, ends nothing, and is written when it can be', async () => {
  await using folder = await newFolder()
  const path = join(folder.path, 'missing', 'platform.json')
  const said: string[] = []
  await using state = newStateFile(path, await running(), (line) => said.push(line))
  state.update({ phase: 'Ready' })
  state.update({ phase: 'Stopping' })
  await expect.poll(() => said).toEqual([expect.stringContaining('cannot be written, and is tried again')])
  await mkdir(join(folder.path, 'missing'))
  state.update({})
  await expect.poll(async () => readFile(path, 'utf8').catch(() => '')).toContain('Stopping')
  expect(said).toHaveLength(1)
})

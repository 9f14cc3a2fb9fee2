import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { says } from './testing/guest-console.ts'
import { condition, eventually, isReady, newPlatform, qemus, type Found, type Platform } from './testing/platform.ts'

const SLOW_MS = 120_000

describe('Deleting on a platform', () => {
  let platform: Platform

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.start()
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  const entriesOf = async (name: string) =>
    (await platform.list('recycledresources')).filter(
      ({ spec }) => (spec as { resource: { name: string } }).resource.name === name,
    )
  const binned = async (name: string) =>
    eventually(async () => {
      const [entry] = await entriesOf(name)
      return entry?.status?.['phase'] === 'Binned' && condition(entry)?.status === 'True' && entry
    })
  const act = async (entry: Found, spec: object) =>
    platform.kubectl('patch', 'recycled', entry.metadata.name, '--type=merge', `--patch=${JSON.stringify({ spec })}`)
  const ready = async (name: string) =>
    eventually(async () => {
      const vm = await platform.get('virtualmachines', name)
      return isReady(vm) && vm
    }, SLOW_MS)
  const files = async () => readdir(join(platform.home, 'storage', 'disks'))

  test('[DEL-04] [DEL-05] [DEL-15] a guest comes back from the bin with its disk, identity and address', async () => {
    await says(platform, 'hello', 'echo pattern-7f3a >/disk/pattern; sync; cat /disk/pattern', 'pattern-7f3a')
    const before = await ready('hello')
    const disk = (await platform.get('disks', 'hello-root'))?.status?.id ?? ''
    const deleted = await platform.kubectl('delete', 'hfvm', 'hello', '--timeout=90s')
    expect(deleted).toMatchObject({ code: 0, stderr: expect.stringContaining('until then it can be brought back') })
    const entry = await binned('hello')
    expect(await qemus(platform)).toEqual([])
    expect((await platform.list('disks')).map(({ metadata }) => metadata.name)).not.toContain('hello-root')
    expect(await files()).toContain(`${disk}.qcow2`)
    const { stdout } = await platform.kubectl('get', 'recycled')
    expect(stdout).toMatch(/VirtualMachine +default +hello +Delayed +.+Binned/)

    expect(await act(entry, { action: 'Recover' })).toMatchObject({ code: 0 })
    await eventually(async () => (await entriesOf('hello')).length === 0)
    const after = await ready('hello')
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
    expect(after.status).toMatchObject({ machineId: before.status?.machineId, networks: before.status?.['networks'] })
    expect((await platform.get('disks', 'hello-root'))?.status?.id).toBe(disk)
    await eventually(async () => (await platform.serialLog('hello')).includes('holdfast-guest: boots 2'), SLOW_MS)
    await says(platform, 'hello', 'cat /disk/pattern', 'pattern-7f3a')
    expect((await files()).filter((name) => name.endsWith('.qcow2'))).toEqual([`${disk}.qcow2`])
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { says } from './testing/guest-console.ts'
import { disk, machine } from './testing/manifests.ts'
import { condition, eventually, isReady, qemus, type Platform, SHORT_MS } from './testing/platform.ts'

const SLOW_MS = 120_000

/** Disks that are plugged into and out of guests. Wants a Linux. */
export function describeLiveDisks(platform: Platform): void {
  describe('Disks of machines that run', () => {
    afterAll(async () => platform.clear(), 120_000)

    beforeAll(async () => {
      await platform.apply(disk('shared'), machine('right'))
      for (const name of ['hello', 'right']) {
        await eventually(async () => (await platform.serialLog(name)).includes('guest# '), SLOW_MS)
      }
    }, 300_000)

    const patch = (kind: string, name: string, spec: object) =>
      platform.kubectl('patch', kind, name, '--type=merge', `--patch=${JSON.stringify({ spec })}`)
    const attach = (vm: string, ...names: string[]) =>
      patch('hfvm', vm, { disks: names.map((name) => ({ diskRef: { name } })) })
    const holder = async () => {
      const found = await platform.kubectl(
        'get',
        'hfdisk',
        'shared',
        '--output=jsonpath={.status.attachedTo.virtualMachine}',
      )
      return found.stdout
    }
    const pids = async () => (await qemus(platform)).map(({ pid }) => pid).toSorted((a, b) => a - b)
    test('move from one machine to another, and no machine is restarted', async () => {
      const before = await pids()
      await attach('hello', 'shared')
      await eventually(
        async () => isReady(await platform.get('virtualmachines', 'hello')) && (await holder()) === 'hello',
      )
      await says(platform, 'hello', 'echo moved >/dev/vdb; sync; head -c 5 /dev/vdb', 'moved')

      await attach('right', 'shared')
      await eventually(async () => condition(await platform.get('virtualmachines', 'right'))?.reason === 'DiskInUse')
      await attach('hello')
      await eventually(async () => (await holder()) === 'right', SLOW_MS)
      await says(platform, 'right', 'head -c 5 /dev/vdb', 'moved')
      await platform.ready('virtualmachines', 'right', SHORT_MS)
      expect(await pids()).toEqual(before)
    })

    test('are swapped between two machines in one go, and no machine is restarted', async () => {
      const before = await pids()
      await platform.apply(disk('other'))
      await attach('hello', 'other')
      await platform.ready('virtualmachines', 'hello', SHORT_MS)
      await Promise.all([attach('hello', 'shared'), attach('right', 'other')])
      await eventually(async () => (await holder()) === 'hello', SLOW_MS)
      await says(platform, 'hello', 'head -c 5 /dev/vdb', 'moved')
      await Promise.all([attach('hello'), attach('right', 'shared')])
      await eventually(async () => (await holder()) === 'right', SLOW_MS)
      await platform.ready('virtualmachines', 'right')
      expect(await pids()).toEqual(before)
    })

    test('grow, and the guest sees it', async () => {
      const before = await pids()
      await patch('hfdisk', 'right-root', { size: '256Mi' })
      await eventually(async () => {
        const found = await platform.get('disks', 'right-root')
        return condition(found, 'SpecApplied')?.status === 'True' && found?.status?.['size'] === '256Mi'
      }, SLOW_MS)
      await says(platform, 'right', 'cat /sys/block/vda/size', String((256 * 2 ** 20) / 512))
      expect(await pids()).toEqual(before)
    })

    test('come and go although controllers and agent are killed', async () => {
      const before = await pids()
      for (const names of [[], ['shared'], []]) {
        await attach('right', ...names)
        await platform.kill('controllers')
        await platform.kill('agent')
        await eventually(async () => (await holder()) === (names.length > 0 ? 'right' : ''), SLOW_MS)
        await eventually(async () => {
          const vm = await platform.get('virtualmachines', 'right')
          return isReady(vm) && condition(vm, 'SpecApplied')?.status === 'True'
        }, SLOW_MS)
      }
      expect(await pids()).toEqual(before)
    })
  })
}

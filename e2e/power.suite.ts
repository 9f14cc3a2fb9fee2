import { afterAll, describe, expect, test } from 'vitest'
import { machine } from './testing/manifests.ts'
import { condition, eventually, isReady, qemus, type Platform, killProcess } from './testing/platform.ts'

const SLOW_MS = 120_000

/** What `spec.power` and `runStrategy` do. */
export function describePower(platform: Platform): void {
  describe('Power', () => {
    afterAll(async () => platform.clear(), 120_000)

    const ask = async (name: string, request: string, at = new Date().toISOString()) => {
      const patch = JSON.stringify({ spec: { power: { request, at } } })
      return platform.kubectl('patch', 'hfvm', name, '--type=merge', '--field-manager=power', `--patch=${patch}`)
    }
    const showing = (name: string, status: string, reason?: string) =>
      eventually(async () => {
        const vm = await platform.get('virtualmachines', name)
        const isRight = reason === undefined || condition(vm)?.reason === reason
        return vm?.status?.printableStatus === status && isRight && vm
      }, SLOW_MS)
    const pidOf = async (name: string) => {
      const id = (await platform.get('virtualmachines', name))?.status?.machineId
      return (await qemus(platform)).find(({ machineId }) => machineId === id)?.pid
    }

    test('of a machine is what was last asked for, each request once', async () => {
      await platform.apply(machine('asked'))
      await platform.booted('asked', 1)
      const pid = await pidOf('asked')

      await ask('asked', 'Pause')
      await showing('asked', 'Paused', 'PausedByUser')
      await ask('asked', 'Resume')
      await showing('asked', 'Running', 'Ready')
      await ask('asked', 'Reset')
      await platform.booted('asked', 2)
      expect(await pidOf('asked')).toBe(pid)
      await ask('asked', 'Restart')
      await platform.booted('asked', 3)
      expect(await pidOf('asked')).not.toBe(pid)

      const at = new Date().toISOString()
      await ask('asked', 'Stop', at)
      const stopped = await showing('asked', 'Stopped', 'SuspendedByUser')
      expect(isReady(stopped)).toBe(true)
      await ask('asked', 'Start')
      await showing('asked', 'Running', 'Ready')
      // Somebody applies yesterday's manifest again.
      await ask('asked', 'Stop', at)
      await eventually(async () => {
        const vm = await platform.get('virtualmachines', 'asked')
        return condition(vm, 'RequestAccepted')?.reason === 'RequestOutdated'
      })
      await showing('asked', 'Running', 'Ready')
      await ask('asked', 'ForceStop')
      await showing('asked', 'Stopped', 'SuspendedByUser')
    })

    test('survives a kill -9 of controllers and agent in the middle of a restart', async () => {
      await platform.apply(machine('killed'))
      await platform.booted('killed', 1)
      await ask('killed', 'Restart')
      await platform.kill('controllers')
      await platform.kill('agent')
      await platform.booted('killed', 2)
      await showing('killed', 'Running', 'Ready')
      expect(await platform.serialLog('killed')).not.toContain('boots 3')
    })

    test('of a machine follows its runStrategy', async () => {
      await platform.apply(machine('manual', { runStrategy: 'Manual' }))
      await showing('manual', 'Stopped', 'Ready')
      await ask('manual', 'Start')
      await platform.booted('manual', 1)
      killProcess(await pidOf('manual'))
      await showing('manual', 'Stopped', 'Crashed')

      const strategy = (value: string) =>
        platform.kubectl('patch', 'hfvm', 'manual', '--type=merge', `--patch={"spec":{"runStrategy":"${value}"}}`)
      await strategy('Always')
      await platform.booted('manual', 2)
      killProcess(await pidOf('manual'))
      await platform.booted('manual', 3)
      await strategy('Halted')
      await showing('manual', 'Stopped', 'Ready')
      const refused = await ask('manual', 'Start')
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('is not started') })
    })

    test('of a machine that keeps ending shows when it is tried again', async () => {
      await platform.apply(machine('loop'))
      await platform.booted('loop', 1)
      for (const boots of [2, 3]) {
        killProcess(await pidOf('loop'))
        await platform.booted('loop', boots)
      }
      killProcess(await pidOf('loop'))
      const waiting = await showing('loop', 'CrashLoopBackOff', 'CrashLoopBackOff')
      expect(Date.parse(String(waiting.status?.['restartAt']))).toBeGreaterThan(Date.now() - 10_000)
      await platform.booted('loop', 4)
    })
  })
}

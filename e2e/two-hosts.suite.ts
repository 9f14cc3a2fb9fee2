import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dataStorage, host, machine } from './testing/manifests.ts'
import { condition, eventually, isReady, killProcess, qemus, type Platform, SHORT_MS } from './testing/platform.ts'
import { act, binned, entries } from './testing/recycle-bin.ts'
import { startAgent, type SecondAgent } from './testing/second-agent.ts'

/** As when its computer burns: the guests, the agent and all that either kept are gone. */
async function loseHost(platform: Platform, name: string, agent: SecondAgent): Promise<void> {
  await agent.kill()
  const its = (await platform.list('virtualmachines')).filter(({ status }) => status?.host === name)
  const ids = its.map(({ status }) => status?.machineId)
  for (const { pid, machineId } of await qemus(platform)) if (ids.includes(machineId)) killProcess(pid)
  await rm(join(platform.home, name), { recursive: true })
}

/** A second agent beside that of the platform, with a Host and a storage of its own. */
export function describeTwoHosts(platform: Platform): void {
  describe('Two hosts', () => {
    let second: SecondAgent

    beforeAll(async () => {
      second = await startAgent(platform, 'host-2')
      await platform.apply(host('host-2', second.port), dataStorage('local-2', 'host-2', second.storage))
      await platform.ready('datastorages', 'local-2', SHORT_MS)
      await eventually(async () => {
        const image = await platform.get('images', 'holdfast-guest')
        return String(image?.status?.['hosts']).includes('host-2')
      })
    }, 300_000)
    afterAll(async () => {
      await platform.kubectl('delete', 'hfvm', '--all', '--timeout=60s')
      await second[Symbol.asyncDispose]()
    }, 120_000)

    test('share the machines, each with its disk on a storage of its own host', async () => {
      await platform.apply(machine('a'), machine('b'), machine('c'))
      const vms = await eventually(async () => {
        const found = await platform.list('virtualmachines')
        return found.length === 4 && found.every(isReady) && found
      })
      const perHost = Map.groupBy(vms, ({ status }) => status?.host)
      expect(new Set(perHost.keys())).toEqual(new Set(['host-1', 'host-2']))
      expect(perHost.get('host-2')?.length).toBe(2)
      const disks = (await platform.list('disks')).filter(({ metadata }) => metadata.name.endsWith('-root'))
      const hosts = new Map(vms.map(({ metadata, status }) => [`${metadata.name}-root`, status?.host]))
      expect(new Map(disks.map(({ metadata, status }) => [metadata.name, status?.host]))).toEqual(hosts)
      expect(await qemus(platform)).toHaveLength(4)
    })

    test('take a machine where its manifest wants it', async () => {
      await platform.kubectl('label', 'hfhost', 'host-1', 'disk=fast')
      await platform.apply(
        machine('chosen', { placement: { host: 'host-2' } }),
        machine('labelled', { placement: { hostSelector: { disk: 'fast' } } }),
      )
      const placed = async (name: string) =>
        eventually(async () => (await platform.get('virtualmachines', name))?.status?.host)
      expect(await placed('chosen')).toBe('host-2')
      expect(await placed('labelled')).toBe('host-1')
    })

    test('say why none of them fits', async () => {
      await platform.apply(machine('huge', { memory: '4Ti' }), machine('picky', { placement: { host: 'host-9' } }))
      const told = async (name: string) =>
        eventually(async () => {
          const vm = await platform.get('virtualmachines', name)
          const found = condition(vm)
          return found?.reason === 'NoHostFits' && { ...found, shown: vm?.status?.printableStatus }
        })
      expect(await told('huge')).toMatchObject({
        shown: 'ErrorUnschedulable',
        message: expect.stringMatching(/^No host fits: host-1 has .* of memory left, 4Ti are asked; host-2 has /),
      })
      expect((await told('picky')).message).toBe('There is no Host host-9: correct spec.placement.host, or add it')
    })

    test('a host that does not answer is not gone: its machines run on and are shown as Unknown', async () => {
      const before = await qemus(platform)
      await second[Symbol.asyncDispose]()
      const vm = await eventually(async () => {
        const found = await platform.get('virtualmachines', 'chosen')
        return condition(found)?.reason === 'HostUnreachable' && found
      })
      expect(vm.status?.printableStatus).toBe('Unknown')
      expect(await qemus(platform)).toEqual(before)

      second = await startAgent(platform, 'host-2')
      await platform.apply(host('host-2', second.port))
      await platform.ready('virtualmachines', 'chosen', SHORT_MS)
      expect(await qemus(platform)).toEqual(before)
    })

    test('an agent that answers for another host is refused', async () => {
      await platform.apply(host('impostor', second.port))
      const found = await eventually(async () => {
        const impostor = condition(await platform.get('hosts', 'impostor'))
        return impostor?.status !== 'True' && impostor
      })
      expect(found.reason).not.toBe('Ready')
      await platform.deleteConfirmed('hfhost', 'impostor')
    })

    test('one that is set up anew in place of a host that is lost lets go of all that was there', async () => {
      await platform.apply(machine('lost', { placement: { host: 'host-2' } }))
      await platform.ready('virtualmachines', 'lost', SHORT_MS)
      await platform.kubectl('delete', 'hfvm', 'chosen', '--timeout=60s')
      const old = await binned(platform, 'VirtualMachine', 'chosen')
      await loseHost(platform, 'host-2', second)

      second = await startAgent(platform, 'host-2')
      await platform.apply(host('host-2', second.port))
      await eventually(async () => condition(await platform.get('virtualmachines', 'lost'))?.reason === 'DiskNotFound')
      // Others of this suite are there too: it shares the machines with the other host.
      await platform.kubectl('delete', 'hfvm', '--all', '--timeout=60s')
      const fresh = await binned(platform, 'VirtualMachine', 'lost')
      const left = (await entries(platform)).filter(({ contents }) => contents?.host === 'host-2')
      expect(left.map(({ name }) => name)).toEqual(expect.arrayContaining([old.name, fresh.name]))
      for (const entry of left) await act(platform, entry, { action: 'Purge' })
      await eventually(async () => (await entries(platform)).every(({ contents }) => contents?.host !== 'host-2'))
      for (const [kind, name] of [
        ['hfds', 'local-2'],
        ['hfhost', 'host-2'],
      ] as const) {
        expect(await platform.deleteConfirmed(kind, name)).toMatchObject({ code: 0 })
      }
    })
  })
}

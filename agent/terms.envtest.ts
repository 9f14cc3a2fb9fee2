import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { connectAgent } from './client.ts'
import { decidedAnew } from './machine/testing.ts'
import { addressOf, newAgentWorld } from './testing.ts'

const WAIT_MS = 30_000
const TERM = 7

test(
  'Order of a leader that was replaced is refused, whatever it is, also by the next agent',
  { timeout: 120_000 },
  async () => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const running = await world.newMachine(first.agent)
    await first.agent.putMachine(running, WAIT_MS)
    const as = async (term: number, port: number) =>
      connectAgent({ ...(await addressOf(world.authority, port)), term: () => term })
    {
      await using next = await as(TERM, first.port)
      await next.host() // A look is enough.
    }
    const record = async () => readFile(join(world.dir, 'state', 'machines', `${running.id}.json`), 'utf8')
    const [pids, before] = [await world.pidsOf(running.id), await record()]
    await first.end('SIGKILL')

    const second = await world.start({}, TERM)
    await using late = await as(TERM - 1, second.port)
    const [disk] = running.disks
    const refusal = { code: 'STALE_TERM', details: { term: TERM } }
    await expect(late.putMachine(decidedAnew(running, { power: 'Absent' }))).rejects.toMatchObject(refusal)
    await expect(late.deleteDisk('fast', disk?.id ?? '')).rejects.toMatchObject(refusal)
    await expect(late.putStorage({ name: 'slow', path: world.dir })).rejects.toMatchObject(refusal)
    await expect(late.stopGuests()).rejects.toMatchObject(refusal)
    expect(await late.machines()).toMatchObject([{ id: running.id, state: 'Running' }])
    expect([await world.pidsOf(running.id), await record()]).toEqual([pids, before])
  },
)

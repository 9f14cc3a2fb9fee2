import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { eventually, newAgentWorld, seen } from './testing.ts'

const WAIT_MS = 30_000

test.each([
  ['empty', () => ''],
  ['cut in the middle', (text: string) => text.slice(0, text.length / 2)],
])(
  'Guest whose record is %s after a crash of the host runs on, and no other is lost',
  { timeout: 120_000 },
  async (_how, tear) => {
    await using world = await newAgentWorld()
    const first = await world.start()
    const [torn, whole] = [await world.newMachine(first.agent), await world.newMachine(first.agent)]
    const { pid } = await first.agent.putMachine(torn, WAIT_MS)
    const other = await first.agent.putMachine(whole, WAIT_MS)
    await first.end('SIGKILL')
    const record = join(world.dir, 'state', 'machines', `${torn.id}.json`)
    await writeFile(record, tear(await readFile(record, 'utf8')))

    const { agent } = await world.start()
    await seen(agent, whole.id, (machine) => machine.state === 'Running' && machine.pid === other.pid)
    const { stateProblem } = await agent.host()
    expect(stateProblem).toMatchObject({ code: 'RecordsUnreadable', message: expect.stringContaining(torn.id) })
    expect(await world.pidsOf(torn.id)).toEqual([pid])
    // Its user is given to nobody else, although no record names it.
    const fresh = await agent.putMachine(await world.newMachine(agent), WAIT_MS)
    const owners = await Promise.all([pid, other.pid, fresh.pid].map(async (one) => (await stat(`/proc/${one}`)).uid))
    expect(new Set(owners).size).toBe(process.getuid?.() === 0 ? 3 : 1)

    expect(await agent.putMachine(torn, WAIT_MS)).toMatchObject({ state: 'Running', pid })
    expect(await world.pidsOf(torn.id)).toEqual([pid])
    await eventually('the host is well', async () => (await agent.host()).stateProblem === undefined)
  },
)

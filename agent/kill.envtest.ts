import { expect, test } from 'vitest'
import { canKillAtCalls, cases, findUnsynced, KillWorld } from './testing-kill.ts'
import { newAgentWorld } from './testing.ts'

const SEED = 20_261_125
const KILLS = { files: 2, messages: 1 }
const limit = { timeout: 400_000 }

test(
  'Agent that is killed while it stores its state, or speaks with QEMU, loses nothing and starts nothing twice',
  limit,
  async ({ skip }) => {
    skip(!(await canKillAtCalls()), 'strace is to kill the agent, and only root may: apt-get install strace')
    await using world = await newAgentWorld()
    const kills = await KillWorld.start(world)
    let random = SEED
    const killed: string[] = []
    for (const { flow, of } of cases) {
      const calls = await kills.calls(flow, of)
      expect(findUnsynced(calls)).toEqual([])
      for (let played = 0; played < KILLS[of]; played += 1) {
        random = (random * 48_271) % (2 ** 31 - 1)
        const call = 1 + (random % Math.max(1, Math.ceil(calls.length * 0.8)))
        if (await kills.kill(flow, of, call)) killed.push(flow.name)
      }
    }
    expect(killed.length).toBeGreaterThan(cases.length)
  },
)

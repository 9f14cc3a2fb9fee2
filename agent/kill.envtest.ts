import { expect, test } from 'vitest'
import { canKillAtCalls, findUnsynced, flows, KillWorld } from './testing-kill.ts'
import { newAgentWorld } from './testing.ts'

const SEED = 20_261_125
const KILLS = 2
const limit = { timeout: 180_000 }

test(
  'Agent that is killed at calls that store its state loses nothing and starts nothing twice',
  limit,
  async ({ skip }) => {
    skip(!(await canKillAtCalls()), 'strace is to kill the agent, and only root may: apt-get install strace')
    await using world = await newAgentWorld()
    const kills = await KillWorld.start(world)
    let random = SEED
    const killed: string[] = []
    for (const flow of flows) {
      const calls = await kills.calls(flow)
      expect(findUnsynced(calls)).toEqual([])
      for (let played = 0; played < KILLS; played += 1) {
        random = (random * 48_271) % (2 ** 31 - 1)
        const call = 1 + (random % Math.ceil(calls.length * 0.8))
        if (await kills.kill(flow, call)) killed.push(flow.name)
      }
    }
    expect(killed.length).toBeGreaterThan(flows.length)
  },
)

import { expect, test } from 'vitest'
import { canKillAtCalls, cases, findUnsynced, KillWorld } from './testing-kill.ts'
import { newAgentWorld } from './testing.ts'

const limit = { timeout: 60 * 60_000 }
/** A flow does not always make as many calls. */
const MORE = 10

test.each(cases)(
  'Agent that is killed at any call to $of of "$name" loses nothing and starts nothing twice',
  limit,
  async ({ flow, of }) => {
    expect(await canKillAtCalls(), 'strace is to kill the agent, and only root may: apt-get install strace').toBe(true)
    await using world = await newAgentWorld()
    const kills = await KillWorld.start(world)
    const calls = await kills.calls(flow, of)
    expect(findUnsynced(calls)).toEqual([])
    let killed = 0
    for (let call = 1; call <= calls.length + MORE; call += 1) if (await kills.kill(flow, of, call)) killed += 1
    process.stdout.write(`${flow.name}: killed at ${killed} of ${calls.length} calls to ${of}\n`)
    // The agent makes some of them by itself, before or after.
    expect(killed).toBeGreaterThanOrEqual(Math.max(1, Math.min(3, calls.length - 1)))
  },
)

import { setTimeout as sleep } from 'node:timers/promises'
import * as z from 'zod'

const PAUSE_MS = 1

const machineEvent = z.looseObject({
  type: z.literal('Machine'),
  machine: z.looseObject({ restarts: z.int(), revision: z.int() }),
})
type MachineEvent = z.infer<typeof machineEvent>

/** After the first machine that a host tells of, it tells of nothing else: a thousand times a second, and always anew. */
export async function* flood(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let machine: MachineEvent | undefined
  for await (const line of lines) {
    yield line
    machine ??= machineEvent.safeParse(JSON.parse(line)).data
    if (machine && line.includes('"Synced"')) break
  }
  if (!machine) return
  const { restarts, revision } = machine.machine
  for (let count = 1; ; count++) {
    const next = { ...machine.machine, restarts: restarts + count, revision: revision + count }
    yield `${JSON.stringify({ ...machine, machine: next })}\n`
    await sleep(PAUSE_MS)
  }
}

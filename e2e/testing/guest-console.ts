import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { eventually, type Platform } from './platform.ts'

const SLOW_MS = 120_000

/** Types a command into the shell of a guest until its output begins with the answer. */
export async function says(platform: Platform, vm: string, command: string, answer: string): Promise<void> {
  const id = (await platform.get('virtualmachines', vm))?.status?.machineId ?? ''
  let attempt = 0
  await eventually(async () => {
    const mark = `try-${++attempt}-`
    const socket = connect(join(platform.home, 'run', id, 'console'))
    await once(socket, 'connect')
    socket.end(`echo ${mark}""is $(${command})\n`)
    await once(socket.resume(), 'close')
    return new RegExp(`\ntry-\\d+-is ${answer}`).test(await platform.serialLog(vm))
  }, SLOW_MS)
}

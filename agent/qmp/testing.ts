import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import * as z from 'zod'

export const GREETING = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 } }, capabilities: [] } }

/** What a scripted monitor says its machine is. */
export const MACHINE_ID = 'c0ffee00-0000-4000-8000-000000000001'

/** What the other end of a scripted monitor can do. */
export interface Wire {
  /** Writes a value as a line of JSON, or a text as it is. */
  write(content: object | string): void
  end(): void
}

interface Asked {
  readonly execute: string
  readonly id: string
}

/** Answers a command; unless a test says otherwise, with success. */
export type Script = (asked: Asked, wire: Wire) => void

export interface ScriptedMonitor extends AsyncDisposable {
  readonly path: string
  /** Names of the commands that came. */
  readonly commands: string[]
  /** The connections so far, last one last. */
  readonly wires: Wire[]
}

export interface ScriptedMonitorOptions {
  readonly script?: Script
  /** First thing that is written. */
  readonly greeting?: object | string
}

const asked = z.object({ execute: z.string(), id: z.string() })

/** A monitor as QEMU has it, on a real Unix socket, that answers as a test wants it to. */
export async function newScriptedMonitor({
  script = succeed,
  greeting = GREETING,
}: ScriptedMonitorOptions = {}): Promise<ScriptedMonitor> {
  const folder = await mkdtemp(join(tmpdir(), 'hf-'))
  const path = join(folder, 'qmp')
  const commands: string[] = []
  const wires: Wire[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    const wire: Wire = {
      write: (content) => socket.write(typeof content === 'string' ? content : `${JSON.stringify(content)}\r\n`),
      end: () => socket.destroy(),
    }
    wires.push(wire)
    wire.write(greeting)
    const lines = createInterface({ input: socket })
    lines.on('error', () => undefined) // It passes the socket's on: the other end may have closed it.
    lines.on('line', (line) => {
      const command = asked.parse(JSON.parse(line))
      commands.push(command.execute)
      script(command, wire)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    commands,
    wires,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export const succeed: Script = ({ execute, id }, wire) => {
  const answers: Record<string, object> = {
    'query-status': { status: 'running', running: true },
    'query-uuid': { UUID: MACHINE_ID },
    'qom-list': [],
    'query-named-block-nodes': [],
  }
  wire.write({ id, return: answers[execute] ?? {} })
}

import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import * as z from 'zod'

const ANSWER_MS = 5_000

/** What QEMU says of itself: `running`, `paused`, `shutdown` and others of QAPI's RunState. */
const reply = z.object({ return: z.object({ status: z.string() }) })

/**
 * A QEMU with one monitor more, so that a test can ask a process itself and not only its agent: QMP serves one client a
 * socket. The program is to be named to the agent; it becomes QEMU, with the same number.
 */
export class QmpTap {
  /** What the agent is to start in place of QEMU. */
  readonly program: string
  readonly #sockets: string
  /** An empty file for each process that was started, named by machine and process. */
  readonly #starts: string

  private constructor(folder: string) {
    this.program = join(folder, 'qemu-with-tap')
    this.#sockets = join(folder, 'taps')
    this.#starts = join(folder, 'starts')
  }

  static async install(folder: string): Promise<QmpTap> {
    const tap = new QmpTap(folder)
    for (const shared of [tap.#sockets, tap.#starts]) {
      await mkdir(shared, { recursive: true })
      await chmod(shared, 0o1777) // Each machine runs as a user of its own.
    }
    const monitor = `unix:${tap.#sockets}/$$,server=on,wait=off`
    const lines = [
      '#!/bin/sh',
      'case "$*" in *-uuid*) ;; *) exec qemu-system-x86_64 "$@" ;; esac',
      'for word in "$@"; do [ "$last" = -uuid ] && id=$word; last=$word; done',
      `: > "${tap.#starts}/$id.$$"`,
      `exec qemu-system-x86_64 "$@" -qmp "${monitor}"`,
    ]
    await writeFile(tap.program, `${lines.join('\n')}\n`, { mode: 0o755 })
    return tap
  }

  /** How often a machine was started. */
  async starts(machineId: string): Promise<number> {
    return (await readdir(this.#starts)).filter((name) => name.startsWith(`${machineId}.`)).length
  }

  /** State of the guest of a process; undefined when that has ended, or answers to nobody. */
  async stateOf(pid: number): Promise<string | undefined> {
    const socket = createConnection(join(this.#sockets, String(pid)))
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`QEMU ${pid} does not answer`)))
    try {
      socket.write('{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n')
      for await (const line of createInterface(socket)) {
        const found = reply.safeParse(JSON.parse(line))
        if (found.success) return found.data.return.status
      }
      return undefined
    } catch {
      return undefined
    } finally {
      socket.destroy()
    }
  }
}

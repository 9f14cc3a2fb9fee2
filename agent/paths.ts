import { join } from 'node:path'

/** What fits into `sun_path` of a Unix socket on Linux, without the closing zero byte. */
const MAX_SOCKET_PATH_BYTES = 107
const anyMachineId = '00000000-0000-4000-8000-000000000000'

/** Where an agent keeps its files. */
export interface Folders {
  /** One record a machine. Only the agent reads them. */
  readonly machines: string
  /** Serial console logs, and their `.log.1`. */
  readonly serial: string
  /** What QEMU itself prints. */
  readonly logs: string
  /** A folder of sockets for each machine. */
  readonly run: string
  /** Space for what must be stored also when there is none. */
  readonly reserve: string
  /** File of the highest term that an order came with. */
  readonly term: string
}

export function foldersOf(stateDir: string, runDir: string): Folders {
  return {
    machines: join(stateDir, 'machines'),
    serial: join(stateDir, 'serial'),
    logs: join(stateDir, 'logs'),
    run: runDir,
    reserve: join(stateDir, 'reserve'),
    term: join(stateDir, 'term.json'),
  }
}

/** Files of one machine's process. */
export interface MachinePaths {
  readonly serialLog: string
  readonly qemuLog: string
  /** Belongs to the machine's own user. */
  readonly runDir: string
  readonly qmp: string
  readonly console: string
  readonly guestAgent: string
  readonly pidFile: string
}

export function machinePaths(folders: Pick<Folders, 'serial' | 'logs' | 'run'>, id: string): MachinePaths {
  const runDir = join(folders.run, id)
  return {
    serialLog: join(folders.serial, `${id}.log`),
    qemuLog: join(folders.logs, `${id}.log`),
    runDir,
    qmp: join(runDir, 'qmp'),
    console: join(runDir, 'console'),
    guestAgent: join(runDir, 'agent'),
    pidFile: join(runDir, 'pid'),
  }
}

/** Says why sockets cannot be made below a folder; undefined when they can. */
export function objectionToRunDir(runDir: string): string | undefined {
  const longest = Buffer.byteLength(machinePaths({ serial: '/', logs: '/', run: runDir }, anyMachineId).console)
  const excess = longest - MAX_SOCKET_PATH_BYTES
  if (excess <= 0) return undefined
  return `the path ${runDir} is ${excess} bytes too long for Unix sockets below it; choose a shorter folder`
}

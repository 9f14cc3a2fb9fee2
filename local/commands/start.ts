import { prepareHome, refuseFullHome } from '../home.ts'
import { runPlatform, type RunOptions } from '../platform/run.ts'
import { findSerialLog } from '../platform/serial-log.ts'
import { summary } from '../platform/summary.ts'
import { STOP_KEEPING_GUESTS } from '../processes/end-process.ts'
import type { Terminal } from '../terminal.ts'

// A Ctrl-C reaches us from the terminal, and again from every program between it and us.
const ONE_PRESS_MS = 1_000

/** Runs the platform in this process until Ctrl-C, or SIGTERM. */
export async function start(options: RunOptions, terminal: Terminal): Promise<number> {
  const { home, env } = options
  await prepareHome(home)
  if (options.kubeconfig === undefined) await refuseFullHome(home)
  // Of a detached platform it is the standard output already.
  if (env['HOLDFAST_DETACHED'] === undefined) terminal.keep(home.log)
  const { stop, hurry, keepsGuests } = followSignals(() => terminal.say('stopping'))
  const running = runPlatform(options, {
    say: terminal.say,
    stop,
    hurry,
    keepsGuests,
    ready: async (inventory, { kubectl }) => {
      if (stop.aborted) return
      const text = summary(inventory, {
        serialLog: findSerialLog(home, inventory.machines),
        kubectl: kubectl.program,
        kubeconfig: kubectl.kubeconfig,
        detached: env['HOLDFAST_DETACHED'] !== undefined,
      })
      terminal.print(text)
    },
  })
  try {
    await running
  } catch (error) {
    if (!stop.aborted) throw error
    // Whatever was under way was given up.
    terminal.say('stopped before everything was ready')
    return 1
  }
  terminal.say('stopped')
  return 0
}

function followSignals(onStop: () => void): { stop: AbortSignal; hurry: AbortSignal; keepsGuests: () => boolean } {
  const stop = new AbortController()
  const hurry = new AbortController()
  let firstAt = 0
  let isKeeping = false
  const take = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now()
      onStop()
      stop.abort()
    } else if (performance.now() - firstAt > ONE_PRESS_MS) hurry.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, take)
  process.on(STOP_KEEPING_GUESTS, () => {
    if (stop.signal.aborted) return // Guests may be shutting down already.
    isKeeping = true
    take()
  })
  return { stop: stop.signal, hurry: hurry.signal, keepsGuests: () => isKeeping }
}

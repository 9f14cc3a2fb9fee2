import * as z from 'zod'
import { QmpError } from './errors.ts'

/** QEMU's RunState, as far as it can be seen from outside. */
export const runState = z.enum([
  'debug',
  'finish-migrate',
  'guest-panicked',
  'inmigrate',
  'internal-error',
  'io-error',
  'paused',
  'postmigrate',
  'prelaunch',
  'restore-vm',
  'running',
  'save-vm',
  'shutdown',
  'suspended',
  'watchdog',
  'colo',
  'preconfig',
])
export type RunState = z.infer<typeof runState>

const nothing = z.object({})

/** Every QMP command we send, and the part of its reply we rely on. Nothing else may name a command. */
export const commands = {
  qmp_capabilities: { args: z.undefined(), reply: nothing },
  'query-status': { args: z.undefined(), reply: z.object({ status: runState }) },
  'query-block': {
    args: z.undefined(),
    reply: z.array(
      z.object({ qdev: z.string().optional(), 'io-status': z.enum(['ok', 'failed', 'nospace']).optional() }),
    ),
  },
  stop: { args: z.undefined(), reply: nothing },
  cont: { args: z.undefined(), reply: nothing },
  system_reset: { args: z.undefined(), reply: nothing },
  system_powerdown: { args: z.undefined(), reply: nothing },
  quit: { args: z.undefined(), reply: nothing },
} as const satisfies Record<string, { args: z.ZodType; reply: z.ZodType }>

export type Command = keyof typeof commands
export type Reply<C extends Command> = z.output<(typeof commands)[C]['reply']>

// Spelled out per command, so that TypeScript can tell one command's reply from another's.
const schemas: { readonly [C in Command]: { readonly reply: z.ZodType<Reply<C>> } } = commands

/** Reads a reply at the border, so that a field QEMU renamed fails here and not far away. */
export function parseReply<C extends Command>(command: C, reply: unknown): Reply<C> {
  const { success, data, error } = schemas[command].reply.safeParse(reply)
  if (success) return data
  throw new QmpError('QMP_UNEXPECTED_REPLY', `${command}: ${z.prettifyError(error)}`, { cause: error })
}

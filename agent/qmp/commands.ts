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
// QEMU counts in 64 bits. Beyond 2^53 a float is exact enough to be drawn.
const count = z.number().min(0)

/** Every QMP command we send, and the part of its reply we rely on. Nothing else may name a command. */
export const commands = {
  qmp_capabilities: { args: z.undefined(), reply: nothing },
  'query-status': { args: z.undefined(), reply: z.object({ status: runState }) },
  /** As given by `-uuid`. */
  'query-uuid': { args: z.undefined(), reply: z.object({ UUID: z.uuid() }) },
  'query-block': {
    args: z.undefined(),
    reply: z.array(
      z.object({ qdev: z.string().optional(), 'io-status': z.enum(['ok', 'failed', 'nospace']).optional() }),
    ),
  },
  'query-blockstats': {
    args: z.undefined(),
    reply: z.array(
      z.object({
        'node-name': z.string().optional(),
        stats: z.object({
          rd_bytes: count,
          wr_bytes: count,
          rd_operations: count,
          wr_operations: count,
          flush_operations: count,
          rd_total_time_ns: count,
          wr_total_time_ns: count,
          flush_total_time_ns: count,
        }),
      }),
    ),
  },
  stop: { args: z.undefined(), reply: nothing },
  cont: { args: z.undefined(), reply: nothing },
  system_reset: { args: z.undefined(), reply: nothing },
  system_powerdown: { args: z.undefined(), reply: nothing },
  'query-named-block-nodes': {
    args: z.object({ flat: z.literal(true) }),
    reply: z.array(z.object({ 'node-name': z.string(), file: z.string() })),
  },
  'qom-list': { args: z.object({ path: z.string() }), reply: z.array(z.object({ name: z.string() })) },
  'blockdev-add': { args: z.looseObject({ driver: z.string(), 'node-name': z.string() }), reply: nothing },
  'blockdev-del': { args: z.object({ 'node-name': z.string() }), reply: nothing },
  device_add: { args: z.looseObject({ driver: z.string(), id: z.string() }), reply: nothing },
  device_del: { args: z.object({ id: z.string() }), reply: nothing },
  block_resize: { args: z.object({ 'node-name': z.string(), size: z.int() }), reply: nothing },
  quit: { args: z.undefined(), reply: nothing },
} as const satisfies Record<string, { args: z.ZodType; reply: z.ZodType }>

export type Command = keyof typeof commands
export type Args<C extends Command> = z.input<(typeof commands)[C]['args']>
export type Reply<C extends Command> = z.output<(typeof commands)[C]['reply']>

// Spelled out per command, so that TypeScript can tell one command's reply from another's.
const schemas: { readonly [C in Command]: { readonly reply: z.ZodType<Reply<C>> } } = commands

/** Reads a reply at the border, so that a field QEMU renamed fails here and not far away. */
export function parseReply<C extends Command>(command: C, reply: unknown): Reply<C> {
  const { success, data, error } = schemas[command].reply.safeParse(reply)
  if (success) return data
  throw new QmpError('QMP_UNEXPECTED_REPLY', `${command}: ${z.prettifyError(error)}`, { cause: error })
}

import * as z from 'zod'
import { QmpError } from './errors.ts'

export type Message =
  | { readonly type: 'Greeting'; readonly version: string }
  | { readonly type: 'Success'; readonly id: string; readonly content: unknown }
  | { readonly type: 'Failure'; readonly id: string; readonly message: string }
  | { readonly type: 'Event'; readonly event: string; readonly content: Record<string, unknown> }

/** The forms of a message by the key that only it has. Told apart by that: a schema that does not fit takes far longer than one that does. */
const forms: readonly (readonly [key: string, schema: z.ZodType<Message>])[] = [
  [
    'return',
    z
      .object({ id: z.string(), return: z.unknown() })
      .transform(({ id, return: content }): Message => ({ type: 'Success', id, content })),
  ],
  [
    'event',
    z
      .object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) })
      .transform(({ event, data }): Message => ({ type: 'Event', event, content: data })),
  ],
  [
    'error',
    z
      .object({ id: z.string(), error: z.object({ class: z.string(), desc: z.string() }) })
      .transform(({ id, error }): Message => ({ type: 'Failure', id, message: error.desc })),
  ],
  [
    'QMP',
    z
      .object({
        QMP: z.object({ version: z.object({ qemu: z.object({ major: z.int(), minor: z.int(), micro: z.int() }) }) }),
      })
      .transform(({ QMP: { version } }): Message => ({
        type: 'Greeting',
        version: Object.values(version.qemu).join('.'),
      })),
  ],
]
// Without an id: QEMU could not even read the command.
const garbled = z.object({ error: z.object({ desc: z.string() }) })

/** Reads one line of QMP (docs/interop/qmp-spec). Throws `QMP_UNEXPECTED_REPLY` for whatever is no QMP. */
export function parseMessage(line: string): Message {
  const message = parseJson(line)
  for (const [key, schema] of forms) {
    const parsed = hasKey(message, key) ? schema.safeParse(message) : undefined
    if (parsed?.success === true) return parsed.data
  }
  const asGarbled = garbled.safeParse(message)
  const why = asGarbled.success ? asGarbled.data.error.desc : line.slice(0, 200)
  throw new QmpError('QMP_UNEXPECTED_REPLY', `not a QMP message: ${why}`)
}

function hasKey(message: unknown, key: string): boolean {
  return typeof message === 'object' && message !== null && key in message
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new QmpError('QMP_UNEXPECTED_REPLY', `not JSON: ${line.slice(0, 200)}`, { cause })
  }
}

import * as z from 'zod'
import { QmpError } from './errors.ts'

const greeting = z.object({
  QMP: z.object({ version: z.object({ qemu: z.object({ major: z.int(), minor: z.int(), micro: z.int() }) }) }),
})
const success = z.object({ id: z.string(), return: z.unknown() })
const failure = z.object({ id: z.string(), error: z.object({ class: z.string(), desc: z.string() }) })
// Without an id: QEMU could not even read the command.
const garbled = z.object({ error: z.object({ desc: z.string() }) })
const event = z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) })

export type Message =
  | { readonly type: 'Greeting'; readonly version: string }
  | { readonly type: 'Success'; readonly id: string; readonly content: unknown }
  | { readonly type: 'Failure'; readonly id: string; readonly message: string }
  | { readonly type: 'Event'; readonly event: string; readonly content: Record<string, unknown> }

/** Reads one line of QMP (docs/interop/qmp-spec). Throws `QMP_UNEXPECTED_REPLY` for whatever is no QMP. */
export function parseMessage(line: string): Message {
  const message = parseJson(line)
  const asEvent = event.safeParse(message)
  if (asEvent.success) return { type: 'Event', event: asEvent.data.event, content: asEvent.data.data }
  const asFailure = failure.safeParse(message)
  if (asFailure.success) return { type: 'Failure', id: asFailure.data.id, message: asFailure.data.error.desc }
  const asSuccess = success.safeParse(message)
  if (asSuccess.success) return { type: 'Success', id: asSuccess.data.id, content: asSuccess.data.return }
  const asGreeting = greeting.safeParse(message)
  if (asGreeting.success)
    return { type: 'Greeting', version: Object.values(asGreeting.data.QMP.version.qemu).join('.') }
  const asGarbled = garbled.safeParse(message)
  const why = asGarbled.success ? asGarbled.data.error.desc : line.slice(0, 200)
  throw new QmpError('QMP_UNEXPECTED_REPLY', `not a QMP message: ${why}`)
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new QmpError('QMP_UNEXPECTED_REPLY', `not JSON: ${line.slice(0, 200)}`, { cause })
  }
}

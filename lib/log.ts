import { pino, stdSerializers, type DestinationStream, type Logger } from 'pino'

/** A structured log: `log.info({ machine: id }, 'started')`. One JSON object a line on standard error. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

// Whoever passes an object with one of these by mistake does not leak it.
const secrets = [
  'password',
  'key',
  'token',
  'secret',
  'authorization',
  '*.password',
  '*.key',
  '*.token',
  '*.secret',
  '*.authorization',
]

/** Makes the log of one process, on standard error unless told otherwise. */
export function createLog(name: string, level = 'info', destination?: DestinationStream): Log {
  const options = { name, level, redact: { paths: secrets, censor: '[redacted]' }, serializers: { err: briefly } }
  return pino(options, destination ?? pino.destination({ fd: 2, sync: true }))
}

/** An error may quote what it is about, which somebody else wrote. In characters. */
const MAX_TEXT = 8_192

function briefly(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { type, message, stack } = stdSerializers.err(error)
  const code = 'code' in error ? { code: error.code } : {}
  return { type, message: cut(message), stack: cut(stack), ...code }
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} (${text.length - MAX_TEXT} more)` : text
}

/** A log that nobody reads, for tests. */
export const silentLog: Log = pino({ level: 'silent' })

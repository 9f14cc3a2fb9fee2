import { pino, type DestinationStream, type Logger } from 'pino'

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
  const options = { name, level, redact: { paths: secrets, censor: '[redacted]' } }
  return pino(options, destination ?? pino.destination({ fd: 2, sync: true }))
}

/** A log that nobody reads, for tests. */
export const silentLog: Log = pino({ level: 'silent' })

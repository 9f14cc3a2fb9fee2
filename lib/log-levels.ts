/** What a process can be told to log: this, and all after it. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const

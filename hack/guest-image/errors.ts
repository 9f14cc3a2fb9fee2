/** Why there is no guest image. */
export type GuestImageCode =
  | 'MachineUnsupported'
  | 'ToolMissing'
  | 'PackagesUnavailable'
  | 'PackagesUnsuitable'
  | 'Busy'
  | 'TimedOut'
  | 'ToolFailed'

/** The guest image cannot be built. The message is one sentence that says what to do. */
export class GuestImageError extends Error {
  override readonly name = 'GuestImageError'
  readonly code: GuestImageCode

  constructor(code: GuestImageCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** For `catch`: what to take if the file is not there. Every other error goes on. */
export function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value
    throw error
  }
}

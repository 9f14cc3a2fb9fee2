export type LocalErrorCode =
  | 'ALREADY_RUNS'
  | 'BACKUP_UNUSABLE'
  | 'BUILD_FAILED'
  | 'CLUSTER_UNREACHABLE'
  | 'CLUSTER_UNFIT'
  | 'COMMAND_FAILED'
  | 'COMMAND_MISSING'
  | 'HOME_UNUSABLE'
  | 'INTERRUPTED'
  | 'KEY_LOST'
  | 'KUBECONFIG_WRONG'
  | 'NOT_READY'
  | 'PORT_TAKEN'
  | 'PROGRAMS_MISSING'
  | 'PROGRAM_ENDED'
  | 'QEMU_MISSING'
  | 'USAGE'

/** Something that the person at the terminal can help. The message is what they read: what is wrong, then what to do. */
export class LocalError extends Error {
  override readonly name = 'LocalError'
  readonly code: LocalErrorCode

  constructor(code: LocalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

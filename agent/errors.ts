import type { AgentErrorCode } from './contract.ts'

/** The only error that crosses the agent's border, on both sides of it. `details` is as the contract says for the code. */
export class AgentError extends Error {
  override readonly name = 'AgentError'
  readonly code: AgentErrorCode
  readonly details: unknown

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions & { details?: unknown }) {
    super(message, options)
    this.code = code
    this.details = options?.details
  }
}

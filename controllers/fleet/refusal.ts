import type { AgentError } from '../../agent/errors.ts'

/** What a host answers, as a sentence for a user. What only programs can read of it is left out. */
export function refusalText(host: string, { code, message, cause }: AgentError): string {
  if (code === 'BAD_REQUEST')
    return `Host ${host} does not understand what it is asked: install the same version of agent and controllers`
  // The client gives a cause to what it could not read.
  if (code === 'INTERNAL' && cause !== undefined)
    return `Host ${host} answers what cannot be read: install the same version of agent and controllers`
  return message
}

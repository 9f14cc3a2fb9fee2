import type { ObservedHost } from '../../../agent/contract.ts'
import { HostCondition, HostReason } from '../../../crds/host.ts'
import { done, unknown, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toQuantity } from '../../../policy/quantity.ts'
import type { Obstacle, Refusal } from '../../fleet/fleet-host.ts'
import type { Scope } from '../scope.ts'

const MI = 2 ** 20

/** Says whether the agent answers, and what it says of its host. Its heartbeat stays in memory: only a change is written. */
export const connectHost: Phase<Scope> = {
  condition: HostCondition.Connected,

  run({ host: { metadata, spec }, status, deps }) {
    const host = deps.fleet.get(metadata.name)
    if (!host || host.state === 'Connecting') return waiting(HostReason.Connecting, 'The agent is being connected')
    if (host.state === 'Refused' && host.refusal) return waiting(host.refusal.reason, host.refusal.message)
    if (host.state !== 'Connected' || !host.observed) {
      const { reason, message } = unreachable(metadata.name, `${spec.address}:${spec.port}`, host.obstacle)
      return unknown(reason, message)
    }
    describe(status, host.observed)
    return done
  },
}

function unreachable(name: string, at: string, obstacle: Obstacle | undefined): Refusal {
  switch (obstacle) {
    case 'CertificateNotValid':
      return {
        reason: HostReason.CertificateNotValid,
        message: `The certificate of the agent at ${at} is not valid at this time: set the clocks of the host and of the controllers, or renew it`,
      }
    case 'NotThisHost':
      return {
        reason: HostReason.NotThisHost,
        message: `What answers at ${at} has no certificate for host ${name}: correct spec.address or spec.port, or give its agent a certificate for this name`,
      }
    case 'AddressUnusable':
      return {
        reason: HostReason.AddressUnusable,
        message: `${at} is not the IP address or DNS name of a host: correct spec.address`,
      }
    case undefined:
      return {
        reason: HostReason.HostUnreachable,
        message: `No agent answers at ${at}: see that the host is up and its agent runs`,
      }
  }
}

function describe(status: Scope['status'], observed: ObservedHost): void {
  status.bootId = observed.bootId
  status.cpus = observed.cpus
  status.memory = toQuantity(Math.floor(observed.memoryBytes / MI) * MI)
  status.accelerator = observed.accelerator
  status.acceleratorReason = observed.acceleratorReason
  status.imageSandbox = observed.imageSandbox
  status.agentVersion = observed.agentVersion
  status.qemuVersion = observed.qemuVersion
}

import type { AgentEvent, HostAgent, ObservedHost, ObservedMachine } from '../../agent/contract.ts'

export interface Refusal {
  readonly reason: string
  readonly message: string
}

/**
 * CertificateNotValid: not at this time. NotThisHost: what answers has no certificate for this host. AddressUnusable:
 * it is neither an IP address nor a name.
 */
export type Obstacle = 'CertificateNotValid' | 'NotThisHost' | 'AddressUnusable'

/** A host as it last showed itself. What is known stays known while it does not answer. */
export interface FleetHost {
  readonly name: string
  readonly agent: HostAgent
  /** Refused: something answers, but it is not an agent of this host that we can talk to. */
  readonly state: 'Connecting' | 'Connected' | 'Unreachable' | 'Refused'
  readonly refusal?: Refusal
  /** Why it is Unreachable, where that is known. */
  readonly obstacle?: Obstacle | undefined
  readonly observed?: ObservedHost
  /** Grows with every connection, over all hosts. What was ordered in an earlier one has to be ordered again. */
  readonly session: number
  readonly machines: MachineView
}

/** The machines of one host, each as in the latest observation, be it an event or an answer. */
export interface MachineView {
  get(id: string): ObservedMachine | undefined
  all(): Iterable<ObservedMachine>
  /** Those of this `namespace/name`. */
  named(name: string): Iterable<ObservedMachine>
  /** The one that has the disk of this id, whether it runs or is off. One that was refused the disk does not. */
  holderOf(disk: string): ObservedMachine | undefined
  /** Takes what the host answered, unless something later is known. False when it says nothing that was not known. */
  note(machine: ObservedMachine): boolean
}

export type FleetEvent =
  | { readonly type: 'Host'; readonly host: string }
  | { readonly type: 'Machine'; readonly host: string; readonly machine: ObservedMachine }
  | Exclude<AgentEvent, { type: 'Synced' | 'Beat' | 'Machine' }>

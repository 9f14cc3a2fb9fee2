import { AgentError } from '../../agent/errors.ts'
import {
  CONTRACT_VERSION,
  type AgentEvent,
  type HostAgent,
  type ObservedHost,
  type ObservedMachine,
} from '../../agent/contract.ts'
import { HostReason } from '../../crds/host.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { OTHER_NAME, OUT_OF_DATE, UNTRUSTED } from '../../lib/tls/verify-errors.ts'
import type { FleetEvent, FleetHost, Obstacle, Refusal } from './fleet-host.ts'
import { paceMachines } from './pace.ts'
import type { ReplaceableView } from './machine-view.ts'

export interface ConnectionDeps {
  readonly agent: HostAgent
  readonly machines: ReplaceableView
  readonly update: (change: Partial<FleetHost>) => void
  /** Number of the session that begins. */
  readonly newSession: () => number
  readonly onEvent: (event: FleetEvent) => void
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

const FIRST_RETRY_MS = 200
/** With the jitter, one that is well again is found within 5 s. */
const LAST_RETRY_MS = 3_000

/** Follows one agent's events until the signal is aborted, over as many connections as it takes. */
export async function keepConnected(name: string, deps: ConnectionDeps): Promise<void> {
  const { signal, clock, log } = deps
  let retryMs = FIRST_RETRY_MS
  while (!signal.aborted) {
    try {
      await follow(name, deps, () => {
        retryMs = FIRST_RETRY_MS
      })
    } catch (error) {
      if (hasEnded(signal)) return
      if (!isUnreachable(error)) log.warn({ err: error, host: name }, 'the connection to the agent broke')
      deps.update({ state: 'Unreachable', obstacle: obstacleOf(error) })
    }
    await clock.sleep(retryMs * (0.5 + Math.random()), signal).catch(() => undefined) // Only an abort ends it early.
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
  }
}

async function follow(name: string, deps: ConnectionDeps, onSynced: () => void): Promise<void> {
  const observed = await deps.agent.host()
  const refusal = refusalOf(name, observed)
  if (refusal) {
    deps.update({ state: 'Refused', refusal })
    return
  }
  const to: Tellers = { machines: deps.machines, onEvent: deps.onEvent, tellMachine: paceMachines(deps) }
  let shown = observed
  const first: ObservedMachine[] = []
  let synced = false
  for await (const event of deps.agent.events(deps.signal)) {
    if (event.type === 'Beat') {
      shown = withState(shown, event.stateProblem)
      if (synced) deps.update({ observed: shown })
    } else if (event.type === 'Synced') {
      synced = true
      deps.machines.replace(first)
      onSynced()
      deps.update({ state: 'Connected', obstacle: undefined, observed: shown, session: deps.newSession() })
    } else if (!synced && event.type === 'Machine') first.push(event.machine)
    else passOn(name, event, to)
  }
  if (!deps.signal.aborted) deps.update({ state: 'Unreachable' })
}

type Tellers = Pick<ConnectionDeps, 'machines' | 'onEvent'> & {
  readonly tellMachine: ReturnType<typeof paceMachines>
}

function passOn(host: string, event: Exclude<AgentEvent, { type: 'Beat' | 'Synced' }>, to: Tellers): void {
  // A host that floods us with what we know already keeps nobody else waiting.
  if (event.type !== 'Machine') to.onEvent(event)
  else if (to.machines.note(event.machine)) to.tellMachine({ ...event, host })
}

/** The very same host when nothing is new. */
function withState(observed: ObservedHost, stateProblem: ObservedHost['stateProblem']): ObservedHost {
  const { stateProblem: last, ...rest } = observed
  if (last?.code === stateProblem?.code && last?.message === stateProblem?.message) return observed
  return { ...rest, ...(stateProblem && { stateProblem }) }
}

function refusalOf(name: string, observed: ObservedHost): Refusal | undefined {
  if (observed.name !== name) {
    return {
      reason: HostReason.NotThisHost,
      message: `The agent at this address is of host ${observed.name}: correct spec.address or spec.port`,
    }
  }
  if (!observed.contractVersions.includes(CONTRACT_VERSION)) {
    return {
      reason: HostReason.ContractTooOld,
      message: `The agent ${observed.agentVersion} is too old or too new: install the version of the controllers`,
    }
  }
  return undefined
}

// A function, because the compiler takes it that awaiting changes nothing.
function hasEnded({ aborted }: AbortSignal): boolean {
  return aborted
}

/** It speaks something else than TLS. */
const NO_TLS: ReadonlySet<unknown> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'])

// Of the agent's certificate. That of the controllers is looked at by the agent, which only hangs up.
function obstacleOf(error: unknown): Obstacle | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? error.code : undefined
  if (OUT_OF_DATE.has(code)) return 'CertificateNotValid'
  if (UNTRUSTED.has(code) || NO_TLS.has(code) || code === OTHER_NAME) return 'NotThisHost'
  return code === 'ERR_INVALID_URL' ? 'AddressUnusable' : obstacleOf(error.cause)
}

function isUnreachable(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'UNREACHABLE'
}

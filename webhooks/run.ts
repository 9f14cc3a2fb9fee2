import type { ServerOptions } from 'node:https'
import { Server as TlsServer } from 'node:tls'
import type { Clock } from '../lib/clock.ts'
import type { Kube } from '../lib/kube/client.ts'
import type { Deadline } from '../lib/kube/deadline.ts'
import { withServerClock } from '../lib/kube/server-clock.ts'
import type { Log } from '../lib/log.ts'
import { validate, type JudgeSources } from './admission.ts'
import { buildApp } from './app.ts'
import type { Periods } from './authorities.ts'
import { followCluster, newCaches, untilSynced, type Caches } from './caches.ts'
import { newBatches } from './batches.ts'
import { countDeletes } from './count-deletes.ts'
import { newCertificates, type CertificateOptions, type Trust } from './certificates.ts'
import type { Door } from './door.ts'
import type { WebhooksMetrics } from './metrics.ts'
import { mutate } from './mutate.ts'
import { publishBundle } from './registration.ts'
import type { AdmissionRequest } from './review.ts'

export interface WebhooksDeps {
  readonly kube: Kube
  readonly clock: Clock
  readonly log: Log
  readonly door: Door
  /** PEM of the authority whose certificates the door knows callers by. */
  readonly clientCa: string | undefined
  readonly listen: { readonly host: string; readonly port: number }
  readonly names: Pick<CertificateOptions, 'dnsNames' | 'ips'>
  readonly periods: Periods
  /** How often certificates are looked at, at most. */
  readonly lookMs: number
  readonly metrics?: WebhooksMetrics
  /** Called once every request gets an answer. */
  readonly onListening?: () => void
}

const RETRY_MS = 500
const CALL_MS = 4_000
const GRACE_MS = 5_000

/**
 * Answers the API server until the signal is aborted. Waits for the API server, and for our kinds in it; it listens
 * once it knows what the cluster holds, so who can connect gets an answer.
 */
export async function runWebhooks(deps: WebhooksDeps, signal: AbortSignal): Promise<void> {
  const { clock, log, listen, periods, names, metrics } = deps
  const kube = withServerClock(deps.kube, clock)
  const caches = newCaches()
  const following = followCluster(caches, { kube, clock, log, signal, observe: metrics?.reflector })
  const certificates = newCertificates({ kube, now: kube.clock.now, periods, ...names })
  const trust = await untilTrusted(deps, kube, () => certificates.renew(), signal)
  await Promise.race([untilSynced(caches), aborted(signal)])
  if (!trust || signal.aborted) return following

  const app = buildApp({ ...toApp(deps, kube, caches), https: tlsOptions(trust, deps.clientCa) })
  await app.listen(listen)
  log.info({ addresses: app.addresses() }, 'the webhooks are ready')
  deps.onListening?.()
  await keepTrusted(deps, { kube, trust, renew: () => certificates.renew(), server: app.server }, signal)
  // Who is being answered gets the answer; a connection that is merely open must not keep us.
  const timer = setTimeout(() => app.server.closeAllConnections(), GRACE_MS)
  await app.close()
  clearTimeout(timer)
  await following
}

type ClockedKube = ReturnType<typeof withServerClock>

function toApp({ door, log, metrics }: WebhooksDeps, kube: ClockedKube, caches: Caches) {
  const brakes = newBatches(countDeletes)
  const onUnrecorded = (err: unknown) => log.warn({ err }, 'who deletes a namespace could not be written down')
  const sourcesUntil = (until: Pick<Deadline, 'signal'>): JudgeSources => {
    const send: Kube['send'] = (call) => kube.send({ deadlineMs: CALL_MS, ...call, signal: until.signal })
    return { kube: { send }, caches, now: kube.clock.now, brakes, onLatched: metrics?.latched, onUnrecorded }
  }
  return {
    door,
    log,
    onAnswered: metrics?.answered,
    mutate: async (request: AdmissionRequest, until: Pick<Deadline, 'signal'>) => mutate(sourcesUntil(until), request),
    validate: async (request: AdmissionRequest, until: Pick<Deadline, 'signal'>) =>
      validate(sourcesUntil(until), request),
  }
}

/** The API server may not be there yet, nor the namespace of the Secret. Undefined when it was aborted. */
async function untilTrusted(
  { clock, log }: WebhooksDeps,
  kube: ClockedKube,
  renew: () => Promise<Trust>,
  signal: AbortSignal,
): Promise<Trust | undefined> {
  const isOver = () => signal.aborted
  for (let isTold = false; !isOver(); isTold = true) {
    try {
      // For its clock.
      await kube.send({ method: 'GET', path: '/version', signal })
      return await renew()
    } catch (err) {
      if (!isTold && !isOver()) log.warn({ err }, 'there is no certificate yet; it is tried again')
    }
    await clock.sleep(RETRY_MS, signal).catch(() => undefined)
  }
  return undefined
}

interface Trusted {
  readonly kube: Pick<Kube, 'send'>
  readonly trust: Trust
  readonly renew: () => Promise<Trust>
  readonly server: unknown
}

/** Renews what has to be, serves with it, and has the API server trust it, until the signal is aborted. */
async function keepTrusted(deps: WebhooksDeps, { kube, renew, server, ...first }: Trusted, signal: AbortSignal) {
  const { clock, log, lookMs, clientCa } = deps
  let { identity, bundle } = first.trust
  const isOver = () => signal.aborted
  const tell = newRegistrationTeller(deps)
  for (let failures = 0; !isOver();) {
    let isPublished = false
    try {
      isPublished = await publishBundle(kube, bundle)
      tell(isPublished)
      const trust = await renew()
      const isNew = trust.identity !== identity
      if (isNew && server instanceof TlsServer) {
        server.setSecureContext(tlsOptions(trust, clientCa))
        log.info('the certificate of the webhooks is a new one')
      }
      isPublished &&= trust.bundle === bundle
      ;({ identity, bundle } = trust)
      failures = 0
    } catch (err) {
      if (failures++ === 0 && !isOver()) log.error({ err }, 'certificates cannot be looked after; tried again')
    }
    await clock.sleep(isPublished ? lookMs : Math.min(lookMs, RETRY_MS), signal).catch(() => undefined)
  }
}

/** Says when the API server asks nobody, for then nobody judges: no other process can know. */
function newRegistrationTeller({ log, metrics }: WebhooksDeps): (isRegistered: boolean) => void {
  let missed = 0
  let wasThere = false
  return (is) => {
    metrics?.registered(is)
    missed = is ? 0 : missed + 1
    // They are installed once the webhooks answer.
    if (missed === (wasThere ? 1 : MISSED_AT_START)) log.error(NOT_REGISTERED)
    wasThere ||= is
  }
}

/** Looks, half a second apart. */
const MISSED_AT_START = 120
const NOT_REGISTERED =
  'of the webhook configurations holdfast one is not there, so that not all is judged: permissions of ours, brakes, confirmations; run npm start, or apply config/webhooks'

function tlsOptions({ identity }: Trust, clientCa: string | undefined): ServerOptions {
  const { certificate: cert, key } = identity
  const asks = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }
  return { cert, key, minVersion: 'TLSv1.2', ...asks }
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  signal.addEventListener('abort', () => resolve(undefined), { once: true })
  if (signal.aborted) resolve(undefined)
  await promise
}

import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import type { Kube } from '../lib/kube/client.ts'
import { isKubeError } from '../lib/kube/errors.ts'
import { collectionPath, objectPath, type Endpoint } from '../lib/kube/paths.ts'
import { authorityOf, newAuthorityIdentity, type Identity } from '../lib/tls/authority.ts'
import { planAuthorities, storedAuthority, type Periods, type StoredAuthority } from './authorities.ts'
import { SYSTEM_NAMESPACE } from '../crds/system-namespace.ts'

const SECRETS: Endpoint = { group: '', version: 'v1', plural: 'secrets', scope: 'Namespaced' }
const NAME = 'holdfast-webhooks'
const KEY = 'authorities.json'
const ATTEMPTS = 5

export interface CertificateOptions {
  readonly kube: Pick<Kube, 'send'>
  /** By the clock of the API server. */
  readonly now: () => Date
  readonly periods: Periods
  /** What the API server calls us. */
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
}

export interface Trust {
  /** What this process proves itself with. The same object until it is replaced. */
  readonly identity: Identity
  /** PEM of all authorities that the API server is to trust. */
  readonly bundle: string
}

/**
 * Looks after the authorities in the Secret that all replicas share, and the certificate of this process. To be called
 * again and again. Throws where the Secret cannot be read or written; the last result then still holds.
 */
export function newCertificates(options: CertificateOptions): { renew(): Promise<Trust> } {
  const { now, periods, dnsNames, ips } = options
  let known: readonly StoredAuthority[] = []
  let issued: { readonly identity: Identity; readonly by: string; readonly at: number } | undefined

  const issue = async (signer: StoredAuthority) => {
    const isFresh = issued?.by === signer.certificate && now().getTime() - issued.at < periods.certificateMs
    if (issued && isFresh) return issued.identity
    const authority = await authorityOf(signer)
    const lifetimeMs = periods.certificateMs * LIVES
    const identity = await authority.issue({ commonName: NAME, dnsNames, ips, usages: ['Server'], lifetimeMs })
    issued = { identity, by: signer.certificate, at: now().getTime() }
    return identity
  }
  return {
    async renew() {
      known = await shareAuthorities(options, known)
      const { signer } = planAuthorities(known, now(), periods)
      if (!signer) throw new Error('there is no authority to sign with')
      return { identity: await issue(signer), bundle: known.map(({ certificate }) => certificate).join('') }
    },
  }
}

/** A certificate outlives the time of its renewal by as much again, and more: nobody renews while the API server is away. */
const LIVES = 3

/** Brings the Secret up to date. `known` are put back where it was lost. */
async function shareAuthorities(
  { kube, now, periods }: CertificateOptions,
  known: readonly StoredAuthority[],
): Promise<readonly StoredAuthority[]> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const found = await readSecret(kube)
    const stored = found?.authorities ?? known
    const { keep, lacksNext } = planAuthorities(stored, now(), periods)
    const next = lacksNext ? [...keep, await newAuthority(now())] : keep
    if (found && next.length === stored.length && !lacksNext) return stored
    if (await writeSecret(kube, next, found?.version)) return next
  }
  throw new Error('the Secret of the webhooks changes faster than it can be written')
}

async function newAuthority(now: Date): Promise<StoredAuthority> {
  // Distinct names: who verifies chains by the name of the issuer would else take one authority for the other.
  const identity = await newAuthorityIdentity(`${NAME}-${randomUUID().slice(0, 8)}`)
  return { ...identity, since: now.toISOString() }
}

const secret = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  data: z.object({ [KEY]: z.base64() }),
})

async function readSecret(kube: Pick<Kube, 'send'>) {
  try {
    const path = objectPath(SECRETS, { namespace: SYSTEM_NAMESPACE, name: NAME })
    const { metadata, data } = secret.parse((await kube.send({ method: 'GET', path })).body)
    const authorities = parseAuthorities(Buffer.from(data[KEY], 'base64').toString('utf8'))
    return { authorities, version: metadata.resourceVersion }
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  }
}

/** Its own words: those of a parser could quote a key. */
function parseAuthorities(text: string): StoredAuthority[] {
  try {
    return z.array(storedAuthority).parse(JSON.parse(text))
  } catch {
    throw new Error(`the Secret ${SYSTEM_NAMESPACE}/${NAME} cannot be read: delete it, and it is made anew`)
  }
}

async function writeSecret(
  kube: Pick<Kube, 'send'>,
  authorities: readonly StoredAuthority[],
  version: string | undefined,
): Promise<boolean> {
  const ref = { namespace: SYSTEM_NAMESPACE, name: NAME }
  const metadata = { ...ref, ...(version !== undefined && { resourceVersion: version }) }
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { [KEY]: JSON.stringify(authorities) } }
  const path = version === undefined ? collectionPath(SECRETS, SYSTEM_NAMESPACE) : objectPath(SECRETS, ref)
  try {
    await kube.send({ method: version === undefined ? 'POST' : 'PUT', path, body })
    return true
  } catch (error) {
    if (isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')) return false
    throw error
  }
}

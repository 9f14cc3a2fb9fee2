// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it, and leaves importing it to us.
import 'reflect-metadata'
import { X509Certificate as PlainCertificate, createPrivateKey, webcrypto } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type JsonName,
} from '@peculiar/x509'
import { systemClock, type Clock } from '../clock.ts'
import { readTextFile, writePrivateFile } from './private-file.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 3600 * 1000
const AUTHORITY_LIFETIME_MS = 3650 * DAY_MS
const IDENTITY_LIFETIME_MS = 365 * DAY_MS
// Two hosts' clocks are never the same, and one that is set back by a day must not end a platform that is younger.
const BACKDATED_MS = 2 * DAY_MS

/** A certificate and its private key (PKCS#8), both PEM. */
export interface Identity {
  readonly certificate: string
  readonly key: string
}

export interface IdentityRequest {
  readonly commonName: string
  /** Kubernetes reads them as groups. */
  readonly organizations?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ips?: readonly string[]
  /** What its holder may prove with it: that it is a server, a client, or both. */
  readonly usages: readonly ('Server' | 'Client')[]
  /** A year, if not given. It never outlives its authority. */
  readonly lifetimeMs?: number
}

/** Issues certificates (ECDSA P-256, RFC 5280) that all who trust `certificate` accept. */
export interface Authority {
  /** PEM. */
  readonly certificate: string
  issue(request: IdentityRequest): Promise<Identity>
}

interface Issuer {
  readonly certificate: X509Certificate
  readonly keys: webcrypto.CryptoKeyPair
}

/** Makes an authority whose key is never written down. It lasts ten years. */
export async function newAuthority(commonName: string, clock: Clock = systemClock): Promise<Authority> {
  return toAuthority(await newIssuer(commonName, clock), clock)
}

/** Makes what an authority is kept as. It lasts ten years. */
export async function newAuthorityIdentity(commonName: string, clock: Clock = systemClock): Promise<Identity> {
  const issuer = await newIssuer(commonName, clock)
  return { certificate: toPemText(issuer.certificate), key: await toPem(issuer.keys.privateKey) }
}

/** The authority that was kept as this. Throws when the key is not that of the certificate. */
export async function authorityOf(identity: Identity, clock: Clock = systemClock): Promise<Authority> {
  if (!holdsKey(identity.certificate, identity.key)) throw new Error('the key is not that of the certificate')
  return toAuthority(await toIssuer(identity), clock)
}

/**
 * The authority kept in `ca.crt` and `ca.key` of a folder; made, and made anew when less than a third of its life is
 * left. What the old one issued is then no longer trusted: identities come from `loadOrIssue`, which notices.
 */
export async function loadOrCreateAuthority(
  folder: string,
  commonName: string,
  clock: Clock = systemClock,
): Promise<Authority> {
  const stored = await loadIdentity(folder, 'ca')
  if (stored && holdsKey(stored.certificate, stored.key)) {
    const issuer = await toIssuer(stored)
    if (!needsRenewal(issuer.certificate, clock.now())) return toAuthority(issuer, clock)
  }
  const made = await newAuthorityIdentity(commonName, clock)
  await storeIdentity(folder, 'ca', made)
  return authorityOf(made, clock)
}

export interface StoredRequest extends IdentityRequest {
  /** Folder and name of the files: `name.crt` and `name.key`, mode 0600. */
  readonly folder: string
  readonly name: string
}

/**
 * The identity kept in a folder, issued anew when it is missing, is not of this authority, says something else than
 * the request, or has less than a third of its life left.
 */
export async function loadOrIssue(
  authority: Authority,
  request: StoredRequest,
  clock: Clock = systemClock,
): Promise<Identity> {
  const { folder, name } = request
  const stored = await loadIdentity(folder, name)
  if (stored && (await isCurrent(stored, { authority, request, now: clock.now() }))) return stored
  const identity = await authority.issue(request)
  await storeIdentity(folder, name, identity)
  return identity
}

/** Whether less than a third of a certificate's life is left. */
export function needsRenewal({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }, now: Date): boolean {
  const lifetimeMs = notAfter.getTime() - notBefore.getTime()
  return notAfter.getTime() - now.getTime() < lifetimeMs / 3
}

async function isCurrent(
  { certificate, key }: Identity,
  { authority, request, now }: { authority: Authority; request: IdentityRequest; now: Date },
): Promise<boolean> {
  const found = new X509Certificate(certificate)
  // A crash between the writes of the two files leaves a new key beside an old certificate.
  if (needsRenewal(found, now) || !holdsKey(certificate, key)) return false
  const issuer = new X509Certificate(authority.certificate)
  if (!(await found.verify({ publicKey: issuer, date: now }))) return false
  return contentOf(found) === contentOf(new X509Certificate((await authority.issue(request)).certificate))
}

/** What a certificate says about its holder, without what differs between two of the same request. */
function contentOf(certificate: X509Certificate): string {
  const alternative = certificate.getExtension(SubjectAlternativeNameExtension)?.names.toJSON() ?? []
  const usages = certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? []
  return JSON.stringify([certificate.subject, alternative, usages])
}

async function newIssuer(commonName: string, clock: Clock): Promise<Issuer> {
  const keys = await newKeys()
  const now = clock.now().getTime()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [commonName] }],
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + AUTHORITY_LIFETIME_MS),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate, keys }
}

function toAuthority({ certificate, keys }: Issuer, clock: Clock): Authority {
  return {
    certificate: toPemText(certificate),
    async issue(request) {
      const { publicKey, privateKey } = await newKeys()
      const now = clock.now().getTime()
      const end = Math.min(now + (request.lifetimeMs ?? IDENTITY_LIFETIME_MS), certificate.notAfter.getTime())
      const issued = await X509CertificateGenerator.create({
        subject: subjectOf(request),
        issuer: certificate.subject,
        notBefore: new Date(now - BACKDATED_MS),
        notAfter: new Date(end),
        publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension(request.usages.map((usage) => extendedUsages[usage])),
          ...alternativeNamesOf(request),
          await SubjectKeyIdentifierExtension.create(publicKey),
          await AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
      })
      return { certificate: toPemText(issued), key: await toPem(privateKey) }
    },
  }
}

const extendedUsages = { Server: ExtendedKeyUsage.serverAuth, Client: ExtendedKeyUsage.clientAuth }

// As data, not as text: a name may contain commas and colons.
function subjectOf({ commonName, organizations = [] }: IdentityRequest): JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }]
}

function alternativeNamesOf({ dnsNames = [], ips = [] }: IdentityRequest): SubjectAlternativeNameExtension[] {
  const dns = dnsNames.map((value) => ({ type: 'dns' as const, value }))
  const addresses = ips.map((value) => ({ type: 'ip' as const, value }))
  const names = [...dns, ...addresses]
  return names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []
}

async function loadIdentity(folder: string, name: string): Promise<Identity | undefined> {
  const certificate = await readTextFile(join(folder, `${name}.crt`))
  const key = await readTextFile(join(folder, `${name}.key`))
  return certificate !== undefined && key !== undefined ? { certificate, key } : undefined
}

async function storeIdentity(folder: string, name: string, { certificate, key }: Identity): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writePrivateFile(join(folder, `${name}.key`), key)
  await writePrivateFile(join(folder, `${name}.crt`), certificate)
}

function holdsKey(certificate: string, key: string): boolean {
  return new PlainCertificate(certificate).checkPrivateKey(createPrivateKey(key))
}

async function toIssuer({ certificate, key }: Identity): Promise<Issuer> {
  const { publicKey } = new PlainCertificate(certificate)
  const keys = {
    privateKey: createPrivateKey(key).toCryptoKey(algorithm, true, ['sign']),
    publicKey: publicKey.toCryptoKey(algorithm, true, ['verify']),
  }
  return { certificate: new X509Certificate(certificate), keys }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), PemConverter.PrivateKeyTag)}\n`
}

function toPemText(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}

import { X509Certificate } from 'node:crypto'
import { DownloadError } from './failure.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** The certificates in a bundle, each PEM. Throws `DownloadError`: Node.js itself would silently trust nobody. */
export function parseBundle(text: string): string[] {
  const found = text.match(CERTIFICATE) ?? []
  if (found.length > 0 && found.every(isCertificate)) return found
  const message =
    'The text of spec.source.http.caBundle is no PEM certificate, or one in it is damaged: give the certificate of the authority'
  throw new DownloadError('CABundleUnusable', message)
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== ''
  } catch {
    return false
  }
}

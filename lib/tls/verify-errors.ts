/** How Node.js names it that a certificate is signed by nobody who is trusted. */
export const UNTRUSTED: ReadonlySet<unknown> = new Set([
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** That a certificate is not valid at this time. */
export const OUT_OF_DATE: ReadonlySet<unknown> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** That a certificate is for other names than the one that was asked for. */
export const OTHER_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID'

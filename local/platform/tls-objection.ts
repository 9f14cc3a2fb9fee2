import { OTHER_NAME, OUT_OF_DATE, UNTRUSTED } from '../../lib/tls/verify-errors.ts'

/**
 * What of a kubeconfig keeps TLS from working, as a sentence that says what to do; undefined where it is nothing of the
 * file. The error is the one of a connection: its code is OpenSSL's, as Node.js names it.
 */
export function tlsObjection(error: unknown, kubeconfig: string): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  const what = objectionTo(error.code, kubeconfig)
  return what === undefined ? undefined : `${what} (${error.code})`
}

function objectionTo(code: string, kubeconfig: string): string | undefined {
  const next = 'get a fresh kubeconfig from whoever runs the cluster'
  if (UNTRUSTED.has(code)) {
    return `the certificate authority in ${kubeconfig} does not fit the API server, or is missing: ${next}`
  }
  if (code === OTHER_NAME) {
    return `the certificate of the API server is not for the address in ${kubeconfig}: name one that it is for, or ${next}`
  }
  if (OUT_OF_DATE.has(code)) {
    return `the certificate of the API server that ${kubeconfig} names is not valid now: set the clocks right, or have it renewed`
  }
  if (code.startsWith('ERR_OSSL_')) {
    return `the client certificate in ${kubeconfig}, or its key, is damaged, or they do not belong together: ${next}`
  }
  return undefined
}

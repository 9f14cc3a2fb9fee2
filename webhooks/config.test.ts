import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const byCertificate = { HOLDFAST_WEBHOOKS_CLIENT_CA: '/ca.crt', HOLDFAST_WEBHOOKS_CLIENT_NAMES: 'kube-apiserver' }

test('the webhooks listen where the Service looks for them, unless told otherwise', () => {
  expect(parseConfig(byCertificate)).toEqual({
    kubeconfig: undefined,
    listen: { host: '0.0.0.0', port: 9443 },
    names: { dnsNames: ['holdfast-webhooks.holdfast-system.svc'], ips: [] },
    caller: { clientCaFile: '/ca.crt', clientNames: ['kube-apiserver'] },
    metrics: undefined,
    logLevel: 'info',
  })
  const { caller } = parseConfig({ HOLDFAST_WEBHOOKS_PATH_FILE: '/secret' })
  expect(caller).toEqual({ pathFile: '/secret' })
})

test('the webhooks serve metrics on this machine alone, to one reader, once they are given a port and its files', () => {
  const files = { certificate: '/pki/server.crt', key: '/pki/server.key', clientCa: '/pki/ca.crt' }
  const env = {
    ...byCertificate,
    HOLDFAST_METRICS_PORT: '9090',
    HOLDFAST_METRICS_TLS_CERT: files.certificate,
    HOLDFAST_METRICS_TLS_KEY: files.key,
    HOLDFAST_METRICS_CLIENT_CA: files.clientCa,
  }
  const readers = ['holdfast-metrics']
  expect(parseConfig(env).metrics).toEqual({ listen: '127.0.0.1', port: 9090, files, readers })
})

test.each([
  ['neither certificate nor path', {}, 'say how the API server is known'],
  ['both', { ...byCertificate, HOLDFAST_WEBHOOKS_PATH_FILE: '/secret' }, 'say how the API server is known'],
  ['a certificate of anybody', { HOLDFAST_WEBHOOKS_CLIENT_CA: '/ca.crt' }, 'HOLDFAST_WEBHOOKS_CLIENT_NAMES'],
  ['a relative path', { HOLDFAST_WEBHOOKS_PATH_FILE: 'secret' }, 'write an absolute path'],
  [
    'metrics that nobody is known for',
    { ...byCertificate, HOLDFAST_METRICS_PORT: '9090' },
    'HOLDFAST_METRICS_CLIENT_CA',
  ],
  ['no port', { ...byCertificate, HOLDFAST_WEBHOOKS_PORT: '0' }, 'HOLDFAST_WEBHOOKS_PORT'],
])('the webhooks do not start with %s', (_, env, sentence) => {
  expect(() => parseConfig(env)).toThrow(sentence)
})

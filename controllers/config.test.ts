import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const least = {
  HOLDFAST_AGENT_CA: '/pki/ca.crt',
  HOLDFAST_AGENT_CLIENT_CERT: '/pki/controllers.crt',
  HOLDFAST_AGENT_CLIENT_KEY: '/pki/controllers.key',
}

test('Controllers serve no metrics unless they are given a port', () => {
  expect(parseConfig(least)).toEqual({
    kubeconfig: undefined,
    agentTls: { ca: '/pki/ca.crt', certificate: '/pki/controllers.crt', key: '/pki/controllers.key' },
    metrics: undefined,
    relistMs: 600_000,
    logLevel: 'info',
  })
})

test('Controllers serve metrics on this machine alone, to one reader of the authority of the agents', () => {
  const env = {
    ...least,
    HOLDFAST_METRICS_PORT: '9443',
    HOLDFAST_METRICS_TLS_CERT: '/pki/server.crt',
    HOLDFAST_METRICS_TLS_KEY: '/pki/server.key',
  }
  expect(parseConfig(env).metrics).toEqual({
    listen: '127.0.0.1',
    port: 9443,
    files: { certificate: '/pki/server.crt', key: '/pki/server.key', clientCa: '/pki/ca.crt' },
    readers: ['holdfast-metrics'],
  })
  const elsewhere = {
    HOLDFAST_METRICS_LISTEN: '0.0.0.0',
    HOLDFAST_METRICS_CLIENT_CA: '/pki/other.crt',
    HOLDFAST_METRICS_CLIENT_NAMES: 'prometheus, somebody',
  }
  expect(parseConfig({ ...env, ...elsewhere }).metrics).toMatchObject({
    listen: '0.0.0.0',
    files: { clientCa: '/pki/other.crt' },
    readers: ['prometheus', 'somebody'],
  })
})

test('Controllers list everything anew as often as they are told', () => {
  expect(parseConfig({ ...least, HOLDFAST_RELIST_SECONDS: '60' }).relistMs).toBe(60_000)
  expect(() => parseConfig({ ...least, HOLDFAST_RELIST_SECONDS: 'often' })).toThrow(
    /HOLDFAST_RELIST_SECONDS: write a number/,
  )
})

test.each([
  ['no number', { HOLDFAST_METRICS_PORT: '' }, /HOLDFAST_METRICS_PORT: write a whole number/],
  ['no port', { HOLDFAST_METRICS_PORT: '65536' }, /HOLDFAST_METRICS_PORT: /],
  ['no certificate', { HOLDFAST_METRICS_PORT: '9443' }, /HOLDFAST_METRICS_TLS_CERT: name the file/],
])('Controllers are not started with a port for metrics that is %s', (_why, env, message) => {
  expect(() => parseConfig({ ...least, ...env })).toThrow(message)
})

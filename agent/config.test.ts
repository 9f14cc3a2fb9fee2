import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const environment = {
  HOLDFAST_AGENT_NAME: 'host-1',
  HOLDFAST_AGENT_STATE_DIR: '/var/lib/holdfast',
  HOLDFAST_AGENT_RUN_DIR: '/run/holdfast',
  HOLDFAST_AGENT_IMPORT_DIR: '/srv/import',
  HOLDFAST_AGENT_TLS_CERT: '/etc/holdfast/tls.crt',
  HOLDFAST_AGENT_TLS_KEY: '/etc/holdfast/tls.key',
  HOLDFAST_AGENT_CLIENT_CA: '/etc/holdfast/ca.crt',
}

test('Configuration has defaults for all but names and folders', () => {
  expect(parseConfig({ ...environment, PATH: '/bin' })).toEqual({
    name: 'host-1',
    stateDir: '/var/lib/holdfast',
    runDir: '/run/holdfast',
    importDir: '/srv/import',
    downloadDir: '/var/lib/holdfast/images',
    listen: '127.0.0.1',
    port: 8444,
    certificate: '/etc/holdfast/tls.crt',
    key: '/etc/holdfast/tls.key',
    clientCa: '/etc/holdfast/ca.crt',
    clientNames: ['holdfast-controllers', 'holdfast-local'],
    readerNames: ['holdfast-metrics'],
    qemu: 'qemu-system-x86_64',
    qemuImg: 'qemu-img',
    qemuUidBase: 1_879_100_000,
    userNetwork: 'Isolated',
    directIo: false,
    logLevel: 'info',
  })
})

test('Configuration takes what is set', () => {
  const set = {
    HOLDFAST_AGENT_PORT: '0',
    HOLDFAST_AGENT_CLIENT_NAMES: 'a, b',
    HOLDFAST_AGENT_DIRECT_IO: 'On',
    HOLDFAST_AGENT_QEMU_UID_BASE: '5000',
  }
  const config = { port: 0, clientNames: ['a', 'b'], directIo: true, qemuUidBase: 5000 }
  expect(parseConfig({ ...environment, ...set })).toMatchObject(config)
})

test.each([
  ['HOLDFAST_AGENT_NAME', undefined],
  ['HOLDFAST_AGENT_NAME', ''],
  ['HOLDFAST_AGENT_NAME', 'Bad_Name'],
  ['HOLDFAST_AGENT_NAME', 'host-'],
  ['HOLDFAST_AGENT_NAME', 'host..1'],
  ['HOLDFAST_AGENT_NAME', 'h'.repeat(254)],
  ['HOLDFAST_AGENT_STATE_DIR', 'relative/path'],
  ['HOLDFAST_AGENT_RUN_DIR', `/${'x'.repeat(80)}`],
  ['HOLDFAST_AGENT_PORT', '65536'],
  ['HOLDFAST_AGENT_PORT', 'https'],
  ['HOLDFAST_AGENT_PORT', ''],
  ['HOLDFAST_AGENT_QEMU_UID_BASE', '0'],
  ['HOLDFAST_AGENT_USER_NETWORK', 'open'],
  ['HOLDFAST_AGENT_DIRECT_IO', 'true'],
])('Configuration with %s=%s is refused by the name of the variable', (name, value) => {
  expect(() => parseConfig({ ...environment, [name]: value })).toThrow(`\n${name}: `)
})

test('Configuration takes the name of any Host', () => {
  for (const name of ['h', '1', 'host-1', 'host-1.rack2.example.org']) {
    expect(parseConfig({ ...environment, HOLDFAST_AGENT_NAME: name }).name).toBe(name)
  }
})

test('Configuration names every mistake at once', () => {
  expect(() => parseConfig({})).toThrow(/_NAME: .*\n.*_STATE_DIR: .*\n.*_RUN_DIR: /)
})

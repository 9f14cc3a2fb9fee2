import { expect, test } from 'vitest'
import { apiServerArgs, controllerManagerArgs, etcdArgs, goSettings } from './arguments.ts'

test('etcd is reachable over sockets alone, and syncs what it writes unless told otherwise', () => {
  const listens = etcdArgs({ durable: true }).filter((arg) => arg.startsWith('--listen'))
  expect(listens).toEqual(['--listen-client-urls=unix://client.sock:0', '--listen-peer-urls=unix://peer.sock:0'])
  expect(etcdArgs({ durable: true })).not.toContain('--unsafe-no-fsync')
  expect(etcdArgs({ durable: false })).toContain('--unsafe-no-fsync')
})

test('kube-apiserver serves this machine alone, with RBAC, encrypted Secrets and nobody unnamed', () => {
  expect(apiServerArgs({ port: 6443, etcdSocket: '../client.sock:0' })).toEqual(
    expect.arrayContaining([
      '--etcd-servers=unix:../client.sock:0',
      '--bind-address=127.0.0.1',
      '--secure-port=6443',
      '--anonymous-auth=false',
      '--authorization-mode=RBAC',
      '--encryption-provider-config=encryption.json',
      '--shutdown-watch-termination-grace-period=1s',
    ]),
  )
})

test('kube-controller-manager acts as many, and opens no port', () => {
  expect(controllerManagerArgs).toEqual(
    expect.arrayContaining(['--use-service-account-credentials=true', '--secure-port=0', '--leader-elect=false']),
  )
})

test('programs learn from the environment how much memory to take, and nothing else', () => {
  expect(goSettings({ GOGC: '400', GOMEMLIMIT: '1GiB', HOME: '/home/me', GODEBUG: 'x' })).toEqual({
    GOGC: '400',
    GOMEMLIMIT: '1GiB',
  })
  expect(goSettings({})).toEqual({})
})

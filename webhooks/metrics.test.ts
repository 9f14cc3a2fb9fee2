import { expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { buildApp } from './app.ts'
import { newWebhooksMetrics } from './metrics.ts'
import type { AdmissionRequest, Verdict } from './review.ts'

const secret = 'a'.repeat(32)

/** A server that refuses what is called by a reason, fails at `broken`, and lets everything else through. */
function newWorld() {
  const measured = newWebhooksMetrics()
  const validate = async ({ object }: AdmissionRequest): Promise<Verdict> => {
    if (object === 'broken') throw new Error('the API server does not answer')
    return object === 'InUse' ? { refusal: { reason: 'InUse', message: '' } } : {}
  }
  const app = buildApp({
    door: { by: 'Path', secret },
    log: silentLog,
    validate,
    mutate: async () => ({}),
    onAnswered: measured.answered,
  })
  const ask = async (webhook: string, plural: string, object = '', operation = 'DELETE') => {
    const [resource = '', group = 'storage.holdfast.dev'] = plural.split('/')
    const request = { uid: 'u', resource: { group, version: 'v1', resource }, operation, object, userInfo: {} }
    const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
    return (await app.inject({ method: 'POST', url: `/${secret}/${webhook}`, payload: body })).statusCode
  }
  const scrape = async (of: string) =>
    (await measured.metrics.render()).split('\n').filter((line) => line.startsWith(of))
  return { ...measured, ask, scrape }
}

test('It is measured whether the API server asks webhooks', async () => {
  const { registered, scrape } = newWorld()
  for (const is of [true, false]) {
    registered(is)
    expect(await scrape('holdfast_admission_registered')).toEqual([`holdfast_admission_registered ${is ? 1 : 0}`])
  }
})

test('Answers are counted by webhook, kind, operation and reason, and timed', async () => {
  const { ask, scrape } = newWorld()
  for (const object of ['', '', 'InUse', 'broken']) expect(await ask('validate', 'disks', object)).toBe(200)
  await ask('mutate', 'disks', '', 'CREATE')
  await ask('validate', 'namespaces/')
  await ask('validate', 'customresourcedefinitions/apiextensions.k8s.io')
  await ask('validate', 'pods/')
  const of = (kind: string, answer = 'Allowed', operation = 'DELETE', webhook = 'validate') =>
    `holdfast_admission_requests_total{webhook="${webhook}",kind="${kind}",operation="${operation}",answer="${answer}"}`
  expect(await scrape('holdfast_admission_requests_total')).toEqual([
    `${of('Disk')} 2`,
    `${of('Disk', 'InUse')} 1`,
    `${of('Disk', 'FactsUnreadable')} 1`,
    `${of('Disk', 'Allowed', 'CREATE', 'mutate')} 1`,
    `${of('Namespace')} 1`,
    `${of('CustomResourceDefinition')} 1`,
    `${of('Other')} 1`,
  ])
  expect(await scrape('holdfast_admission_duration_seconds_count')).toEqual([
    'holdfast_admission_duration_seconds_count{webhook="validate",operation="DELETE"} 7',
    'holdfast_admission_duration_seconds_count{webhook="mutate",operation="CREATE"} 1',
  ])
})

test('What is no question is not counted', async () => {
  const { ask, scrape } = newWorld()
  expect(await ask('validate', 'disks', '', 'EXPLODE')).toBe(400)
  expect(await scrape('holdfast_admission_requests_total')).toEqual([])
})

test('[DEL-18] Brakes that latch are counted by kind, and each kind has a series from the start', async () => {
  const { latched, scrape } = newWorld()
  latched('Disk')
  expect(await scrape('holdfast_brake_latches_total')).toEqual([
    'holdfast_brake_latches_total{kind="VirtualMachine"} 0',
    'holdfast_brake_latches_total{kind="Host"} 0',
    'holdfast_brake_latches_total{kind="Disk"} 1',
    'holdfast_brake_latches_total{kind="Image"} 0',
    'holdfast_brake_latches_total{kind="DataStorage"} 0',
    'holdfast_brake_latches_total{kind="RecycledResource"} 0',
  ])
})

import { expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { buildApp } from './app.ts'
import { MAX_SECRET } from './door.ts'

const resource = { group: 'storage.holdfast.dev', version: 'v1alpha1', resource: 'disks' }
const review = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'r-1', resource, operation: 'CREATE', userInfo: {} },
}

test.each([32, 100, 101, MAX_SECRET])(
  'a path of %d letters that only the API server knows is found',
  async (length) => {
    const secret = 'a'.repeat(length)
    const allow = async () => ({})
    const app = buildApp({ door: { by: 'Path', secret }, validate: allow, mutate: allow, log: silentLog })
    const statusAt = async (path: string) =>
      (await app.inject({ method: 'POST', url: `/${path}/validate`, payload: review })).statusCode
    expect(await statusAt(secret)).toBe(200)
    expect(await statusAt(`b${secret.slice(1)}`)).toBe(404)
  },
)

import { expect, test } from 'vitest'
import { SERVED_BY } from './install.ts'
import { whoServes } from './who-serves.ts'

const service = { clientConfig: { service: { name: 'holdfast-webhooks', namespace: 'holdfast-system' } } }
const url = { clientConfig: { url: 'https://127.0.0.1:9443/SECRET/validate' } }

test.each([
  ['the npm start that signed them', { [SERVED_BY]: 'box:/home' }, [url], 'box:/home'],
  ['a Service', {}, [service], 'a Service of the cluster'],
  ['a local platform with its own control plane', undefined, [url], 'another Holdfast at https://127.0.0.1:9443'],
])('webhooks are served by %s', (_name, annotations, webhooks, expected) => {
  expect(whoServes({ metadata: { name: 'holdfast', annotations }, webhooks })).toBe(expected)
})

import { expect, test } from 'vitest'
import { collectionPath, keyOf, objectPath } from './paths.ts'
import { Thing } from './testing.ts'

const Secret = { group: '', version: 'v1', plural: 'secrets', scope: 'Namespaced' } as const
const Host = { group: 'test.dev', version: 'v1', plural: 'hosts', scope: 'Cluster' } as const

test.each([
  ['a namespace', collectionPath(Thing, 'shop'), '/apis/test.dev/v1/namespaces/shop/things'],
  ['all namespaces', collectionPath(Thing), '/apis/test.dev/v1/things'],
  ['a built-in kind', collectionPath(Secret, 'shop'), '/api/v1/namespaces/shop/secrets'],
  ['a cluster-scoped kind', collectionPath(Host, 'shop'), '/apis/test.dev/v1/hosts'],
  ['an object', objectPath(Thing, { namespace: 'shop', name: 'a' }), '/apis/test.dev/v1/namespaces/shop/things/a'],
  ['a subresource', objectPath(Host, { name: 'a' }, 'status'), '/apis/test.dev/v1/hosts/a/status'],
  ['a name that is no name', objectPath(Host, { name: '../a?b' }), '/apis/test.dev/v1/hosts/..%2Fa%3Fb'],
])('the path of %s', (_name, path, expected) => {
  expect(path).toBe(expected)
})

test('the path of a namespaced object without a namespace is an error, not another path', () => {
  expect(() => objectPath(Thing, { name: 'a' })).toThrow('things are in namespaces')
})

test('a key has the namespace where there is one', () => {
  expect([keyOf({ namespace: 'shop', name: 'a' }), keyOf({ name: 'a' })]).toEqual(['shop/a', 'a'])
})

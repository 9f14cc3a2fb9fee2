import { expect, test } from 'vitest'
import { ownerOf } from './ownership.ts'

/** Not a good one, but one that tells texts apart. */
const digest = (text: string) => {
  const sum = Array.from(text).reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 2 ** 32, 7)
  return sum.toString(16).padStart(8, '0')
}

test.each([
  ['ann', 'ann'],
  ['holdfast:user:ann', 'ann'],
  ['kubernetes-admin', 'kubernetes-admin'],
  [
    'system:serviceaccount:flux-system:kustomize-controller',
    /^system-serviceaccount-flux-system-kustomize-controll-[0-9a-f]{8}$/,
  ],
  ['ann@example.com', /^ann-example-com-[0-9a-f]{8}$/],
  ['', /^user-[0-9a-f]{8}$/],
  ['ж', /^user-[0-9a-f]{8}$/],
  ['x'.repeat(1000), /^x{52}-[0-9a-f]{8}$/],
])('the owner of what %s makes can be a label', (name, owner) => {
  const value = ownerOf(name, digest)
  expect(value).toMatch(typeof owner === 'string' ? new RegExp(`^${owner}$`) : owner)
  expect(value).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
})

test('nobody is called as the owner that another name is written as', () => {
  const owner = ownerOf('cicd:deployer', digest)
  expect(ownerOf(owner, digest)).not.toBe(owner)
})

test('two names never share an owner', () => {
  const names = ['a:b', 'a/b', 'a b', 'a-b', 'holdfast:user:a:b']
  expect(new Set(names.map((name) => ownerOf(name, digest))).size).toBe(names.length)
})

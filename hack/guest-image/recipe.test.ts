import { expect, test } from 'vitest'
import { isDebianFamily } from './recipe.ts'

test.each([
  { release: 'ID=debian\nVERSION_CODENAME=trixie\n', expected: true },
  { release: 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', expected: true },
  { release: 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', expected: true },
  { release: 'ID="almalinux"\nID_LIKE="rhel centos fedora"\n', expected: false },
  { release: 'HOME_URL="https://www.debian.org/"\nVARIANT_ID=debian\n', expected: false },
  { release: '', expected: false },
])('isDebianFamily is $expected for $release', ({ release, expected }) => {
  expect(isDebianFamily(release)).toBe(expected)
})

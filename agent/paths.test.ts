import { expect, test } from 'vitest'
import { foldersOf, machinePaths, objectionToRunDir } from './paths.ts'

const id = '11111111-1111-4111-8111-111111111111'

test('Paths of a machine lie below the folders of its agent', () => {
  expect(machinePaths(foldersOf('/var/lib/h', '/run/h'), id)).toEqual({
    serialLog: `/var/lib/h/serial/${id}.log`,
    qemuLog: `/var/lib/h/logs/${id}.log`,
    runDir: `/run/h/${id}`,
    qmp: `/run/h/${id}/qmp`,
    console: `/run/h/${id}/console`,
    guestAgent: `/run/h/${id}/agent`,
    pidFile: `/run/h/${id}/pid`,
  })
})

test('Run folder may be as long as sockets below it allow, in bytes', () => {
  const longest = `/${'x'.repeat(61)}`
  const { qmp, console, guestAgent } = machinePaths(foldersOf('/s', longest), id)
  expect(Math.max(...[qmp, console, guestAgent].map((path) => path.length))).toBe(107)
  expect(objectionToRunDir(longest)).toBeUndefined()
  expect(objectionToRunDir(`${longest}x`)).toContain('is 1 bytes too long')
  expect(objectionToRunDir(`/${'ä'.repeat(31)}`)).toContain('is 1 bytes too long')
})

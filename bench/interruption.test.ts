import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

const MODULE = new URL('interruption.ts', import.meta.url).href

/** Begins two things and ends another; one of them cannot be undone. */
const PROGRAM = `
import { onInterruption, undoWhenInterrupted } from ${JSON.stringify(MODULE)}
const say = (line) => process.stdout.write(line + '\\n')
undoWhenInterrupted(say)
onInterruption(() => say('undid the first'))
onInterruption(() => say('undid what had ended'))[Symbol.dispose]()
onInterruption(() => { throw new Error('it is gone') })
onInterruption(() => say('undid the last'))
setInterval(() => undefined, 1_000)
say('begun')
`

test('An error that nobody caught undoes all that was begun, too', async () => {
  const program = `${PROGRAM}\nPromise.reject(new Error('nobody caught me'))`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = text(child.stdout)
  expect(await once(child, 'exit')).toEqual([1, null])
  expect(await said).toMatch(/Error: nobody caught me[^]*undid the last\n[^]*undid the first\n$/)
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s undoes all that was begun, the last first, and the rest where one fails', async (signal, code) => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = text(child.stdout)
  child.stdout.once('data', () => child.kill(signal))
  expect(await once(child, 'exit')).toEqual([code, null])
  const lines = [
    'begun',
    `${signal}: stopping what this benchmark started`,
    'undid the last',
    'Error: it is gone',
    'undid the first',
    '',
  ]
  expect((await said).split('\n')).toEqual(lines)
})

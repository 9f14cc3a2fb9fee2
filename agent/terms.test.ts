import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../lib/log.ts'
import { openTerms } from './terms.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hf-terms-'))
})
afterEach(() => rm(folder, { recursive: true }))

const file = () => join(folder, 'term.json')
const open = () => openTerms(file(), silentLog)

describe('Terms', () => {
  test('only grow, and survive the agent', async () => {
    const terms = await open()
    for (const term of [3, 3, 5]) await terms.admit(term)
    await expect(terms.admit(4)).rejects.toMatchObject({ code: 'STALE_TERM', details: { term: 5 } })
    const next = await open()
    await expect(next.admit(4)).rejects.toMatchObject({ code: 'STALE_TERM', details: { term: 5 } })
    await next.admit(5)
  })

  test('are stored before anybody acts on them, also when many come at once', async () => {
    const terms = await open()
    const calls = [4, 9, 9, 2, 7, 11].map(async (term) => {
      await terms.admit(term)
      const stored = JSON.parse(await readFile(file(), 'utf8')) as { term: number }
      expect(stored.term).toBeGreaterThanOrEqual(term)
    })
    const refused = (await Promise.allSettled(calls)).map(({ status }) => status === 'rejected')
    expect(refused).toEqual([false, false, false, true, true, false])
    expect(await readdir(folder)).toEqual(['term.json'])
    await expect((await open()).admit(10)).rejects.toMatchObject({ details: { term: 11 } })
  })

  test('that were only looked at count as well', async () => {
    const terms = await open()
    await terms.note(6)
    await terms.note(2)
    await expect((await open()).admit(5)).rejects.toMatchObject({ details: { term: 6 } })
  })

  test('that cannot be stored are not acted on, and are tried again', async () => {
    const terms = await openTerms(join(folder, 'missing', 'term.json'), silentLog)
    await expect(terms.admit(2)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(terms.admit(2)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(terms.admit(1)).rejects.toMatchObject({ code: 'STALE_TERM' })
  })

  test.each(['', '{"term":', '{"term":"3"}', '{"term":-1}', 'null'])(
    'begin anew after a file that is damaged (%s), which is kept',
    async (text) => {
      await writeFile(file(), text)
      await (await open()).admit(1)
      const [kept = '', ...rest] = (await readdir(folder)).toSorted((a, b) => b.length - a.length)
      expect([await readFile(join(folder, kept), 'utf8'), rest]).toEqual([text, ['term.json']])
    },
  )
})

import { expect, test } from 'vitest'
import { newTurns } from './turns.ts'

test('Turns of one name come one after the other, in order, and go on after one that failed', async () => {
  const turns = newTurns()
  const told: string[] = []
  const first = Promise.withResolvers<void>()
  const take = (name: string, until?: Promise<void>) =>
    turns.take('a', async (hasWaited) => {
      told.push(`${name} begins, ${hasWaited ? 'later' : 'at once'}`)
      await until
      told.push(`${name} ends`)
    })
  const [one, two, three] = [take('one', first.promise), take('two'), take('three')]
  expect(['a', 'b'].map((name) => turns.isTaken(name))).toEqual([true, false])
  await turns.take('b', async (hasWaited) => void told.push(`another name, ${hasWaited ? 'later' : 'at once'}`))
  first.reject(new Error('it failed'))
  await expect(one).rejects.toThrow('it failed')
  await Promise.all([two, three])
  expect(turns.isTaken('a')).toBe(false)
  await take('four')
  expect(told).toEqual([
    'one begins, at once',
    'another name, at once',
    'two begins, later',
    'two ends',
    'three begins, later',
    'three ends',
    'four begins, at once',
    'four ends',
  ])
})

import { expect, test } from 'vitest'
import { Sequences } from './sequences.ts'

const [a, b] = ['a', 'b']

test('Order that was sent before one that came already is refused, whatever others were sent', () => {
  const sequences = new Sequences()
  sequences.admit(a, { term: 1, sequence: 5 })
  sequences.admit(b, { term: 1, sequence: 3 })
  expect(() => sequences.admit(a, { term: 1, sequence: 4 })).toThrow(expect.objectContaining({ code: 'STALE_ORDER' }))
  sequences.admit(a, { term: 1, sequence: 5 })
  sequences.admit(a, { term: 1, sequence: 6 })
})

test('Order of a later term is taken, however that counts', () => {
  const sequences = new Sequences()
  sequences.admit(a, { term: 1, sequence: 5 })
  expect(() => sequences.admit(a, { term: 2, sequence: 1 })).not.toThrow()
})

test('Orders of so many machines are remembered, the latest ones', () => {
  const sequences = new Sequences(2)
  for (const id of [a, b, a, 'c']) sequences.admit(id, { term: 1, sequence: 5 })
  sequences.admit(b, { term: 1, sequence: 1 })
  expect(() => sequences.admit('c', { term: 1, sequence: 1 })).toThrow('sent before')
})

import { expect, test } from 'vitest'
import { Line } from './line.ts'

function takeAll(line: Line): string[] {
  const taken: string[] = []
  for (let key = line.take(); key !== undefined; key = line.take()) taken.push(key)
  return taken
}

test('Line gives keys in their order, each once, and goes on after it was empty', () => {
  const line = new Line()
  for (const key of ['a', 'b', 'a', 'c']) line.add(key)
  expect([line.size, line.has('b')]).toEqual([3, true])
  expect(takeAll(line)).toEqual(['a', 'b', 'c'])
  line.add('d')
  line.add('a')
  expect(takeAll(line)).toEqual(['d', 'a'])
  expect([line.size, line.take()]).toEqual([0, undefined])
})

test('Line puts one that left it and came again at its end', () => {
  const line = new Line()
  for (const key of ['a', 'b', 'c']) line.add(key)
  expect(line.take()).toBe('a')
  line.delete('b')
  line.add('a')
  line.add('b')
  expect(takeAll(line)).toEqual(['c', 'a', 'b'])
})

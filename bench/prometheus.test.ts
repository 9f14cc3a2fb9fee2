import { expect, test } from 'vitest'
import { countsOf, growth, sumOf } from './prometheus.ts'

const text = `# HELP reconciles Reconciles.
# TYPE reconciles counter
reconciles{controller="disk",result="error"} 2
reconciles{controller="disk",result="success"} 40
reconciles{result="error",controller="host, \\"the\\" {first}"} 1
reconciles_total{controller="disk"} 9
bare 1.5e+3 1700000000000
`

test('Counts are read by the labels that are asked for, whatever else the text holds', () => {
  expect(countsOf(text, 'reconciles', ['result'])).toEqual(
    new Map([
      ['error', 3],
      ['success', 40],
    ]),
  )
  expect([...countsOf(text, 'reconciles', ['controller', 'result']).keys()]).toContain('disk success')
  expect(countsOf(text, 'reconciles', ['controller']).get('host, \\"the\\" {first}')).toBe(1)
  expect(countsOf(text, 'bare', [])).toEqual(new Map([['', 1500]]))
  expect(countsOf(text, 'absent', [])).toEqual(new Map())
})

test('Growth is of counts that are new, too, and not of those that stayed', () => {
  const grown = growth(new Map(Object.entries({ a: 1, b: 2 })), new Map(Object.entries({ a: 1, b: 5, c: 4 })))
  expect(Object.fromEntries(grown)).toEqual({ b: 3, c: 4 })
  expect(sumOf(grown)).toBe(7)
  expect(sumOf(grown, (key) => key === 'c')).toBe(4)
})

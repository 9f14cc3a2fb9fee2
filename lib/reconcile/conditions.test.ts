import { expect, test } from 'vitest'
import type { Condition } from '../../crds/common.ts'
import { news, toConditions } from './conditions.ts'
import type { Report } from './run-phases.ts'

const earlier = '2026-01-01T00:00:00Z'
const now = new Date('2026-01-02T00:00:00.789Z')

function report(type: string, status: Report['status'], reason: string, message = ''): Report {
  return { type, status, reason, message }
}
const condition = (of: Report): Condition => ({ ...of, lastTransitionTime: earlier, observedGeneration: 1 })

test('the time of a condition moves when its status does, and only then', () => {
  const current = [condition(report('A', 'False', 'Slow')), condition(report('B', 'False', 'Slow'))]
  const reports = [report('A', 'False', 'Slower', 'Much'), report('B', 'True', 'B'), report('C', 'Unknown', 'Away')]
  const moved = '2026-01-02T00:00:00Z'
  expect(toConditions(current, reports, 2, now)).toEqual([
    { ...reports[0], observedGeneration: 2, lastTransitionTime: earlier },
    { ...reports[1], observedGeneration: 2, lastTransitionTime: moved },
    { ...reports[2], observedGeneration: 2, lastTransitionTime: moved },
  ])
})

const yes = report('Ready', 'True', 'Ready')
const slow = report('Ready', 'False', 'Slow', 'It is slow')
const away = report('Ready', 'Unknown', 'Away', 'It is away')
const wrong = report('Ready', 'False', 'Wrong', 'It is wrong')
const cause = report('ImageReady', 'False', 'Wrong', 'It is wrong')
const ready = 'Normal Ready'

test.each<[string, Report[], Report, Report | undefined, string[]]>([
  ['becomes ready at once', [], yes, undefined, [ready]],
  ['becomes ready', [slow], yes, undefined, [ready]],
  ['stays ready', [yes], yes, undefined, []],
  ['waits from the start', [], slow, undefined, []],
  ['goes on waiting, for something else', [slow], { ...slow, reason: 'Other' }, undefined, []],
  ['is no longer ready', [yes], slow, undefined, ['Normal Slow']],
  ['is perhaps no longer ready', [yes], away, undefined, ['Normal Away']],
  ['is away and then waits', [away], slow, undefined, []],
  ['is blocked from the start', [], wrong, cause, ['Warning Wrong']],
  ['was ready and is blocked', [yes], wrong, cause, ['Warning Wrong']],
  ['stays blocked', [wrong, cause], wrong, cause, []],
  ['is blocked in another way', [wrong, { ...cause, message: 'Otherwise' }], wrong, cause, ['Warning Wrong']],
  ['is ready although something informs of a block', [slow], yes, cause, ['Warning Wrong', ready]],
  ['stays ready although something informs of a block', [yes, cause], yes, cause, []],
  ['is blocked behind something else', [yes], slow, cause, ['Warning Wrong', 'Normal Slow']],
])('what is news of an object that %s', (...[, current, after, blocked, expected]) => {
  const items = news(current.map(condition), after, blocked)
  expect(items.map(({ type, reason }) => `${type} ${reason}`)).toEqual(expected)
  expect(items.every(({ message }) => message !== '')).toBe(true)
})

test('that an object is ready in another way is news, once', () => {
  const stopped = report('Ready', 'True', 'SuspendedByUser', 'It was stopped')
  const told = { type: 'Normal', reason: 'SuspendedByUser', message: 'It was stopped' }
  expect(news([condition(yes)], stopped, undefined)).toEqual([told])
  expect(news([condition(stopped)], stopped, undefined)).toEqual([])
})

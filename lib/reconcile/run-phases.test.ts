import { expect, test } from 'vitest'
import { blocked, decided, done, unknown, waiting, type Outcome } from './outcome.ts'
import { runPhases, summarise, type Phase } from './run-phases.ts'

/** Phases that end as told; each adds its name to the scope when it runs. */
function phase(condition: string, outcome: Outcome | Error, rest: Partial<Phase<string[]>> = {}): Phase<string[]> {
  const end = (ran: string[]) => {
    ran.push(condition)
    if (outcome instanceof Error) throw outcome
    return outcome
  }
  return { condition, run: end, ...rest }
}

async function run(...phases: Phase<string[]>[]) {
  const ran: string[] = []
  const result = await runPhases(phases, ran)
  const reports = result.reports.map(({ type, status, reason }) => `${type} ${status} ${reason}`)
  return { ran, result, reports, ready: summarise(result, false) }
}

test('phases run in their order, and an object whose phases are all done is ready', async () => {
  const { ran, result, ready } = await run(phase('A', done), phase('B', done))
  expect(ran).toEqual(['A', 'B'])
  expect(result).toEqual({
    completed: true,
    decided: false,
    gone: false,
    reports: [
      { type: 'A', status: 'True', reason: 'A', message: '' },
      { type: 'B', status: 'True', reason: 'B', message: '' },
    ],
  })
  expect(ready).toEqual({ type: 'Ready', status: 'True', reason: 'Ready', message: '' })
})

test.each([
  [waiting('Slow', 'It is slow'), 'A False Slow'],
  [unknown('Away', 'It is away'), 'A Unknown Away'],
  [blocked('Wrong', 'It is wrong'), 'A False Wrong'],
  [new Error('hunter2'), 'A Unknown InternalError'],
])('a phase that is not done keeps those after it from running, and Ready repeats it: %j', async (outcome, report) => {
  const { ran, result, reports, ready } = await run(phase('A', outcome), phase('B', done))
  expect(ran).toEqual(['A'])
  expect(reports).toEqual([report, 'B Unknown NotReached'])
  expect(result.completed).toBe(false)
  expect(ready).toEqual({ ...result.reports[0], type: 'Ready' })
})

test('a phase that names its predecessors waits for these alone', async () => {
  const { ran, reports, ready } = await run(
    phase('A', waiting('Slow', 'It is slow')),
    phase('B', done, { after: [] }),
    phase('C', done, { after: ['B'] }),
    phase('D', done, { after: ['A', 'C'] }),
    phase('E', done, { after: ['Misspelt'] }),
  )
  expect(ran).toEqual(['A', 'B', 'C'])
  expect(reports.slice(3)).toEqual(['D Unknown NotReached', 'E Unknown NotReached'])
  expect(ready.reason).toBe('Slow')
})

test('a phase that informs does not keep an object from being ready', async () => {
  const { result, ready } = await run(phase('A', done), phase('B', blocked('Wrong', 'It is wrong'), { informs: true }))
  expect([ready.status, result.obstacle, result.completed]).toEqual(['True', undefined, false])
  expect(result.blocked).toMatchObject({ type: 'B', reason: 'Wrong' })
})

test('nothing runs after a decision, for it has to be stored first', async () => {
  const { ran, result, reports } = await run(phase('A', done), phase('B', decided), phase('C', done, { after: [] }))
  expect(ran).toEqual(['A', 'B'])
  expect(result.decided).toBe(true)
  expect(reports).toEqual(['A True A', 'B False InProgress', 'C Unknown NotReached'])
})

test('the soonest of several times counts', async () => {
  const { result } = await run(
    phase('A', waiting('Slow', '', 5_000), { after: [] }),
    phase('B', unknown('Away', '', 3_000), { after: [] }),
    phase('C', waiting('Slow', ''), { after: [] }),
  )
  expect(result.retryAfterMs).toBe(3_000)
})

test('what a phase throws is handed on, and none of its text is told to users', async () => {
  const error = new Error('hunter2')
  const { result } = await run(phase('A', error))
  expect(result.error).toBe(error)
  expect(JSON.stringify(result.reports)).not.toContain('hunter2')
  const odd: Phase<string[]> = { condition: 'A', run: () => Promise.reject('hunter2') } // oxlint-disable-line typescript/prefer-promise-reject-errors -- somebody else's code may
  expect((await run(odd)).result.error).toMatchObject({ message: 'not an error', cause: 'hunter2' })
})

test('an object that is being deleted is not ready, and says what holds it up', async () => {
  const { result } = await run(phase('CleanedUp', waiting('InUse', 'It is in use')))
  expect(summarise(result, true)).toEqual({
    type: 'Ready',
    status: 'False',
    reason: 'Deleting',
    message: 'It is in use',
  })
})

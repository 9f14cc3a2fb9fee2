import { expect, test } from 'vitest'
import { newSampler, type Sample } from './sampler.ts'

const sample: Sample = { host: { cpus: 1, memoryBytes: 1 }, machines: [], storages: [] }

/** A sampler whose samples a test lets come. */
function newWorld() {
  const taken: PromiseWithResolvers<Sample>[] = []
  let nowMs = 0
  const take = async () => {
    const next = Promise.withResolvers<Sample>()
    taken.push(next)
    return next.promise
  }
  return {
    taken,
    ask: newSampler(take, { monotonicMs: () => nowMs }, 8000),
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

test('A host is measured once for all who ask while that is done, however long it takes', async () => {
  const { taken, ask, pass } = newWorld()
  const first = ask()
  pass(60_000)
  const second = ask()
  taken[0]?.resolve(sample)
  expect(await Promise.all([first, second])).toEqual([sample, sample])
  expect(taken).toHaveLength(1)
})

test('A host is measured again eight seconds after it was', async () => {
  const { taken, ask, pass } = newWorld()
  const first = ask()
  taken[0]?.resolve(sample)
  await first
  pass(7_999)
  await ask()
  expect(taken).toHaveLength(1)
  pass(1)
  const again = ask()
  expect(taken).toHaveLength(2)
  taken[1]?.resolve(sample)
  await again
})

test('A failure is told to all who wait, and the next one who asks has it tried again', async () => {
  const { taken, ask } = newWorld()
  const both = [ask(), ask()]
  taken[0]?.reject(new Error('no /proc'))
  expect(await Promise.allSettled(both)).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
  const again = ask()
  taken[1]?.resolve(sample)
  expect(await again).toEqual(sample)
})

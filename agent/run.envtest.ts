import { expect, test } from 'vitest'
import { run } from './run.ts'

// Here, for it takes a second of the processor.
test('ends a program that uses too much of the processor', async () => {
  const spinning = run('sh', ['-c', 'while :; do :; done'], { cpuSeconds: 1 })
  await expect(spinning).rejects.toMatchObject({ code: 'KILLED' })
})

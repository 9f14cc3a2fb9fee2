import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { findFreePort, isFreePort } from './port.ts'

test('a port is free when nobody listens on it', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await isFreePort(port)).toBe(false)
  server.close()
  await once(server, 'close')
  expect(await isFreePort(port)).toBe(true)
})

test('a free port can be listened on at once, and is none that was given away', async () => {
  const server = createServer().listen(await findFreePort(), '127.0.0.1')
  await once(server, 'listening')
  server.close()
  const given = Array.from({ length: 10_000 }, (_, index) => 20_000 + index).filter((port) => port % 100 > 0)
  expect((await findFreePort(given)) % 100).toBe(0)
})

test('a port that was found is found by nobody else before anything listens there', async () => {
  const ports = await Promise.all(Array.from({ length: 200 }, async () => findFreePort()))
  expect(new Set(ports).size).toBe(ports.length)
  const script = `import { findFreePort } from ${JSON.stringify(import.meta.resolve('./port.ts'))}
    const wanted = new Set(${JSON.stringify(ports)})
    const others = Array.from({ length: 10_000 }, (_, index) => 20_000 + index).filter((port) => !wanted.has(port))
    console.log(wanted.has(await findFreePort(others.slice(50))))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(stdout).toBe('false\n')
})

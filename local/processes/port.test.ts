import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
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
  const port = await findFreePort()
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
  const others = Array.from({ length: 10_000 }, (_, index) => 20_000 + index).filter((other) => other !== port)
  expect(await findFreePort(others)).toBe(port)
})

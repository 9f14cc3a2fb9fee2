import { once } from 'node:events'
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { choosePort, keepPort } from './kept-port.ts'

test('A port of the last start is taken again while it is free, and another one when it is not', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'hf-'))
  const file = join(folder.path, 'port')
  const first = await keepPort(file, [])
  expect(await keepPort(file, [])).toBe(first)
  expect(await keepPort(file, [first])).not.toBe(first)

  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  const { port } = squatter.address() as AddressInfo
  await writeFile(file, String(port))
  const next = await keepPort(file, [])
  expect(next).not.toBe(port)
  expect(await readFile(file, 'utf8')).toBe(String(next))

  await writeFile(file, String(port))
  const choosing = choosePort({ file, wanted: undefined, option: '--port' })
  await expect(choosing).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  squatter.close()
})

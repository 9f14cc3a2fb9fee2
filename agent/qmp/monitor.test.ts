import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Monitor, type MonitorEvent } from './monitor.ts'
import { GREETING, MACHINE_ID, newScriptedMonitor, succeed, type Script, type Wire } from './testing.ts'

const ignore = { onEvent: () => undefined, onEnd: () => undefined }

/** Answers one command in a way of its own, the others with success. */
function except(command: string, script: Script): Script {
  return (asked, wire) => (asked.execute === command ? script : succeed)(asked, wire)
}

/** Remembers what a connection tells. */
function newListener() {
  const events: MonitorEvent[] = []
  const ended = Promise.withResolvers<void>()
  let ends = 0
  const onEnd = () => {
    ends += 1
    ended.resolve()
  }
  const onEvent = (event: MonitorEvent) => void events.push(event)
  return { events, ended: ended.promise, ends: () => ends, onEvent, onEnd }
}

test('Monitor negotiates, knows the version, and answers commands', async () => {
  await using qemu = await newScriptedMonitor()
  const monitor = await Monitor.connect(qemu.path, ignore)
  expect(monitor.version).toBe('7.2.22')
  expect(monitor.machineId).toBe(MACHINE_ID)
  expect(await monitor.execute('query-status')).toEqual({ status: 'running' })
  expect(qemu.commands).toEqual(['qmp_capabilities', 'query-uuid', 'query-status'])
  monitor.close()
})

test('Monitor that nobody listens for fails as the system says', async () => {
  await expect(Monitor.connect('/tmp/holdfast-no-such-socket', ignore)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('Monitor gives each of several commands at once its own reply, in whatever order they come', async () => {
  const ids: string[] = []
  const script = except('query-status', ({ id }, wire) => {
    ids.unshift(id)
    if (ids.length < 2) return
    for (const [index, each] of ids.entries())
      wire.write({ id: each, return: { status: index === 0 ? 'paused' : 'debug' } })
  })
  await using qemu = await newScriptedMonitor({ script })
  const monitor = await Monitor.connect(qemu.path, ignore)
  const replies = await Promise.all([monitor.execute('query-status'), monitor.execute('query-status')])
  expect(replies).toEqual([{ status: 'debug' }, { status: 'paused' }])
  monitor.close()
})

test('Monitor puts half lines together', async () => {
  const writeSlowly = async (id: string, wire: Wire) => {
    const line = JSON.stringify({ id, return: { status: 'paused' } })
    wire.write(line.slice(0, 10))
    await sleep(20)
    wire.write(`${line.slice(10)}\r\n{"event": "ST`)
    await sleep(20)
    wire.write('OP"}\n\n')
  }
  const script = except('query-status', ({ id }, wire) => void writeSlowly(id, wire))
  await using qemu = await newScriptedMonitor({ script })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  expect(await monitor.execute('query-status')).toEqual({ status: 'paused' })
  await expect.poll(() => listener.events).toEqual(['STOP'])
  monitor.close()
})

test('Monitor passes on events between a command and its reply, and none that it does not know', async () => {
  const script = except('system_powerdown', ({ id }, wire) => {
    wire.write({ event: 'POWERDOWN', timestamp: { seconds: 1, microseconds: 2 } })
    wire.write({ event: 'NIC_RX_FILTER_CHANGED', data: { path: '/x' } })
    wire.write({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-shutdown' } })
    wire.write({ id, return: {} })
  })
  await using qemu = await newScriptedMonitor({ script })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  await monitor.execute('system_powerdown')
  expect(listener.events).toEqual(['POWERDOWN', 'SHUTDOWN'])
  monitor.close()
})

test('Monitor takes a line of nearly one MiB, and ends the connection at a longer one', async () => {
  const script = except('query-status', ({ id }, wire) => {
    wire.write({ id, return: { status: 'running', padding: 'x'.repeat(1024 * 1024 - 200) } })
  })
  await using qemu = await newScriptedMonitor({ script })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  expect(await monitor.execute('query-status')).toEqual({ status: 'running' })
  const asked = monitor.execute('query-block', undefined, 60_000)
  qemu.wires.at(-1)?.write('x'.repeat(1024 * 1024 + 1))
  await expect(asked).rejects.toMatchObject({ code: expect.stringMatching(/QMP_UNEXPECTED_REPLY/) })
  await listener.ended
  await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'QMP_DISCONNECTED' })
})

test.each([
  ['has another type', (id: string) => ({ id, return: { status: 7 } })],
  ['has a state that QEMU does not have', (id: string) => ({ id, return: { status: 'dancing' } })],
  ['lacks its content', (id: string) => ({ id, return: {} })],
])('Monitor refuses a reply that %s, and stays connected', async (_why, reply) => {
  await using qemu = await newScriptedMonitor({
    script: except('query-status', ({ id }, wire) => wire.write(reply(id))),
  })
  const monitor = await Monitor.connect(qemu.path, ignore)
  await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'QMP_UNEXPECTED_REPLY' })
  expect(await monitor.execute('system_powerdown')).toEqual({})
  monitor.close()
})

test.each([
  ['no JSON', 'Segmentation fault\n'],
  ['no QMP', { hello: 'world' }],
  ['a complaint about a command that it could not read', { error: { class: 'GenericError', desc: 'Invalid JSON' } }],
])('Monitor ends a connection that says %s', async (_why, nonsense) => {
  await using qemu = await newScriptedMonitor({
    script: except('query-status', (_asked, wire) => wire.write(nonsense)),
  })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'QMP_UNEXPECTED_REPLY' })
  await listener.ended
  expect(listener.ends()).toBe(1)
})

test('Monitor says when QEMU refuses a command, and stays connected', async () => {
  const script = except('cont', ({ id }, wire) =>
    wire.write({ id, error: { class: 'GenericError', desc: 'Resetting the Virtual Machine is required' } }),
  )
  await using qemu = await newScriptedMonitor({ script })
  const monitor = await Monitor.connect(qemu.path, ignore)
  const refused = { code: 'QMP_REFUSED', message: 'Resetting the Virtual Machine is required' }
  await expect(monitor.execute('cont')).rejects.toMatchObject(refused)
  expect(await monitor.execute('query-status')).toEqual({ status: 'running' })
  monitor.close()
})

test('Monitor waits no longer than it may, and a late reply is taken for no other', async () => {
  const late: (() => void)[] = []
  const script = except('query-status', ({ id }, wire) => {
    if (late.length === 0) late.push(() => wire.write({ id, return: { status: 'paused' } }))
    else succeed({ id, execute: 'query-status' }, wire)
  })
  await using qemu = await newScriptedMonitor({ script })
  const monitor = await Monitor.connect(qemu.path, ignore)
  await expect(monitor.execute('query-status', undefined, 50)).rejects.toMatchObject({ code: 'QMP_TIMEOUT' })
  late[0]?.()
  expect(await monitor.execute('query-status')).toEqual({ status: 'running' })
  monitor.close()
})

test('Monitor that closes fails whatever is asked of it, and tells it once', async () => {
  await using qemu = await newScriptedMonitor({ script: except('quit', (_asked, wire) => wire.end()) })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  const gone = { reason: { code: 'QMP_DISCONNECTED' } }
  const asked = await Promise.allSettled([monitor.execute('quit'), monitor.execute('query-block')])
  expect(asked).toMatchObject([gone, gone])
  await listener.ended
  monitor.close()
  await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'QMP_DISCONNECTED' })
  expect(listener.ends()).toBe(1)
})

test('Monitor that does not greet is given up, and its connection closed', async () => {
  await using qemu = await newScriptedMonitor({ greeting: '' })
  const listener = newListener()
  await expect(Monitor.connect(qemu.path, listener, 50)).rejects.toMatchObject({ code: 'QMP_TIMEOUT' })
  await listener.ended
})

test('Monitor that does not negotiate is given up, and its connection closed', async () => {
  await using qemu = await newScriptedMonitor({ script: () => undefined })
  const listener = newListener()
  await expect(Monitor.connect(qemu.path, listener, 50)).rejects.toMatchObject({ code: 'QMP_TIMEOUT' })
  await listener.ended
})

test('Monitor that greets with something else is refused', async () => {
  await using qemu = await newScriptedMonitor({ greeting: { QMP: { version: { qemu: 'seven' } } } })
  await expect(Monitor.connect(qemu.path, ignore)).rejects.toMatchObject({ code: 'QMP_UNEXPECTED_REPLY' })
})

test('Monitor takes a greeting and events that come as one piece', async () => {
  const greeting = `${JSON.stringify(GREETING)}\n{"event":"RESUME"}\n`
  await using qemu = await newScriptedMonitor({ greeting })
  const listener = newListener()
  const monitor = await Monitor.connect(qemu.path, listener)
  expect(listener.events).toEqual(['RESUME'])
  monitor.close()
})

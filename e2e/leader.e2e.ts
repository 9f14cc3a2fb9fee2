import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as z from 'zod'
import { machine } from './testing/manifests.ts'
import { eventually, isReady, newPlatform, qemus, type Platform } from './testing/platform.ts'

const TAKEOVER_MS = 20_000
const PROCESSES = ['controllers', 'controllers-2'] as const

const lease = z.object({
  spec: z.object({ holderIdentity: z.string().default(''), leaseTransitions: z.int() }),
})
const versions = z.object({
  items: z.array(z.object({ kind: z.string(), metadata: z.object({ uid: z.string(), resourceVersion: z.string() }) })),
})

describe('Two processes of the controllers', () => {
  let platform: Platform

  beforeAll(async () => {
    platform = await newPlatform()
    await platform.start('--controllers', '2')
  }, 300_000)
  afterAll(async () => platform[Symbol.asyncDispose](), 120_000)

  /** The process that leads, and since which term. */
  async function leader(): Promise<{ pid: number; term: number } | undefined> {
    const { stdout } = await platform.kubectl('get', 'lease', 'holdfast-controllers', '-nholdfast-system', '-ojson')
    const { holderIdentity, leaseTransitions } = lease.parse(JSON.parse(stdout)).spec
    const pid = /-(\d+)_[0-9a-f]+_\d+$/.exec(holderIdentity)?.[1]
    return pid === undefined ? undefined : { pid: Number(pid), term: leaseTransitions }
  }

  async function theLeader() {
    return eventually(leader, TAKEOVER_MS)
  }

  async function otherThan(pid: number, timeoutMs = TAKEOVER_MS) {
    return eventually(async () => {
      const now = await leader()
      return now && now.pid !== pid && now
    }, timeoutMs)
  }

  /** Its one QEMU and its one disk. */
  async function oneOfEach(name: string): Promise<void> {
    const vm = await eventually(async () => {
      const found = await platform.get('virtualmachines', name)
      return isReady(found) && found
    }, 120_000)
    const running = (await qemus(platform)).filter(({ machineId }) => machineId === vm.status?.machineId)
    const disks = (await platform.list('disks')).filter(({ metadata }) => metadata.name.startsWith(`${name}-`))
    expect([running.length, disks.map(({ metadata }) => metadata.name)]).toEqual([1, [`${name}-root`]])
    await eventually(async () => (await boots(name)) > 0)
    expect(await boots(name)).toBe(1)
  }

  async function boots(name: string): Promise<number> {
    return (await platform.serialLog(name)).match(/holdfast-guest: booted/g)?.length ?? 0
  }

  /** Everything that a leader could have changed: objects, events, orders, and processes. */
  async function everything() {
    const kinds = 'hfvm,hfdisk,hfimg,hfds,hfhost,events.events.k8s.io'
    const { stdout } = await platform.kubectl('get', kinds, '--all-namespaces', '--output=json')
    const objects = versions.parse(JSON.parse(stdout)).items
    const agent = join(platform.home, 'agent')
    const records = (await readdir(join(agent, 'machines'))).toSorted((a, b) => a.localeCompare(b))
    const orders = await Promise.all(records.map((name) => readFile(join(agent, 'machines', name), 'utf8')))
    return {
      objects: new Map(objects.map(({ kind, metadata }) => [`${kind} ${metadata.uid}`, metadata.resourceVersion])),
      orders: new Map(records.map((name, index) => [name, orders[index]])),
      term: await readFile(join(agent, 'term.json'), 'utf8'),
      qemus: await qemus(platform),
    }
  }

  /** Waits until nothing has changed for some seconds. */
  async function atRest() {
    let last = await everything()
    for (let quiet = 0; quiet < 3; quiet++) {
      await sleep(2_000)
      const now = await everything()
      if (!isSame(last, now)) quiet = -1
      last = now
    }
    return last
  }

  /** Stops a process as a paused computer would be, until the returned function is called. */
  function freeze(pid: number): () => void {
    process.kill(pid, 'SIGSTOP')
    return () => process.kill(pid, 'SIGCONT')
  }

  test('have one leader, which status names', async () => {
    const { pid, term } = await theLeader()
    expect(await Promise.all(PROCESSES.map((name) => platform.pid(name)))).toContain(pid)
    const { code, stdout } = await platform.local('status')
    expect(code).toBe(0)
    expect(stdout.match(/process \d+, leads in term \d+/g)).toEqual([`process ${pid}, leads in term ${term}`])
    for (const name of PROCESSES) expect(stdout).toContain(`  ${name} `)
  })

  test('the leader is killed: another one leads within 20 s, and what was created meanwhile is made once', async () => {
    const before = await theLeader()
    await platform.apply(machine('before'))
    process.kill(before.pid, 'SIGKILL')
    const killedAt = performance.now()
    await platform.apply(machine('meanwhile-1'), machine('meanwhile-2'))
    const after = await otherThan(before.pid)
    expect(performance.now() - killedAt).toBeLessThan(TAKEOVER_MS)
    expect(after.term).toBeGreaterThan(before.term)
    for (const name of ['before', 'meanwhile-1', 'meanwhile-2']) await oneOfEach(name)
  })

  test('the leader stands still for 30 s: another one leads and acts, and nothing that comes late is done', async () => {
    const old = await theLeader()
    await platform.apply(machine('late-1'), machine('late-2'))
    await sleep(60) // In the middle of it.
    const thaw = freeze(old.pid)
    const frozenAt = performance.now()
    try {
      const next = await otherThan(old.pid)
      const took = performance.now() - frozenAt
      expect(took).toBeLessThan(TAKEOVER_MS)
      expect(took).toBeGreaterThan(10_000)
      expect(next.term).toBe(old.term + 1)

      await platform.kubectl('delete', 'hfvm', 'before', '--timeout=60s')
      await platform.kubectl('patch', 'hfvm', 'meanwhile-1', '--type=merge', '-p={"spec":{"runStrategy":"Halted"}}')
      await platform.apply(machine('during'))
      for (const name of ['late-1', 'late-2', 'during', 'meanwhile-2']) await oneOfEach(name)
      await eventually(async () => {
        const halted = await platform.get('virtualmachines', 'meanwhile-1')
        return halted?.status?.printableStatus === 'Stopped' && isReady(halted)
      })
      await sleep(Math.max(0, 30_000 - (performance.now() - frozenAt)))
      const settled = await atRest()
      expect(JSON.parse(settled.term)).toEqual({ term: next.term })

      thaw()
      await sleep(10_000)
      expect(await everything()).toEqual(settled)
      expect(await leader()).toEqual(next)
      expect(await Promise.all(PROCESSES.map((name) => platform.pid(name)))).toContain(old.pid)
    } finally {
      thaw()
    }
  })

  test('who led before leads again, with what is true by then', async () => {
    const old = await theLeader()
    const thaw = freeze(old.pid)
    try {
      const next = await otherThan(old.pid)
      expect(next.term).toBe(old.term + 1)
      await platform.kubectl('patch', 'hfvm', 'meanwhile-1', '--type=merge', '-p={"spec":{"runStrategy":"Always"}}')
      await eventually(async () => isReady(await platform.get('virtualmachines', 'meanwhile-1')), 120_000)
      await platform.kubectl('delete', 'hfvm', '--all', '--timeout=120s')
      expect(await qemus(platform)).toEqual([])
      await eventually(async () => (await platform.list('disks')).length === 0)
    } finally {
      thaw()
    }
  })

  test('the leader is stopped: another one leads within 5 s', async () => {
    const old = await theLeader()
    process.kill(old.pid, 'SIGTERM')
    const next = await otherThan(old.pid, 5_000)
    expect(next.term).toBe(old.term + 1)
  })

  test('the agent knows of a greater term, as when etcd was restored: ours is raised above it, and orders are obeyed', async () => {
    await platform.local('stop')
    await writeFile(join(platform.home, 'agent', 'term.json'), '{"term":5000}')
    expect(await platform.start()).toMatchObject({ code: 0 })
    await platform.apply(machine('restored'))
    await oneOfEach('restored')
    expect((await theLeader()).term).toBe(5001)
    expect(JSON.parse(await readFile(join(platform.home, 'agent', 'term.json'), 'utf8'))).toEqual({ term: 5001 })
  })
})

function isSame(a: object, b: object): boolean {
  const plain = (value: object) =>
    JSON.stringify(value, (_, entry: unknown) => (entry instanceof Map ? [...entry] : entry))
  return plain(a) === plain(b)
}

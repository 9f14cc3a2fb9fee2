import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import type { HostAgent } from '../../agent/contract.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Call, Kube } from '../../lib/kube/client.ts'
import type { Order, Step } from './recording.ts'

/** The machine that was watched. */
export interface Model {
  readonly name: string
  readonly host: string
  readonly ids: {
    readonly uid: string
    readonly machineId: string
    readonly decisionId: string
    readonly diskUid: string
  }
}

/** Where the steps are sent again. */
export interface Servers {
  readonly kube: Kube
  readonly agents: ReadonlyMap<string, HostAgent>
}

/** What was done for one machine, to be done again for others by somebody who thinks of nothing. */
export interface Script {
  readonly model: Model
  /** The steps, as JSON. */
  readonly texts: readonly string[]
}

/** Of all steps those for one machine and its root disk. */
export function scriptOf(vm: VirtualMachine, diskUid: string, steps: readonly Step[]): Script {
  const { name, uid } = vm.metadata
  const { machineId = '', host = '', decision } = vm.status ?? {}
  const model: Model = { name, host, ids: { uid, machineId, decisionId: decision?.id ?? '', diskUid } }
  const marks = [name, uid, machineId, diskUid]
  return {
    model,
    texts: steps.map((step) => JSON.stringify(step)).filter((text) => marks.some((mark) => text.includes(mark))),
  }
}

const written = z.object({ metadata: z.object({ uid: z.string(), resourceVersion: z.string() }) })
const versioned = z.looseObject({ metadata: z.looseObject({ uid: z.string(), resourceVersion: z.string() }) })

/** A machine that exists already, and the host where it is to be. */
export interface Part {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly host: string
}

/** Does for another machine all that was done for the model, one call after the other. */
export async function replay(script: Script, as: Part, to: Servers): Promise<void> {
  const { model } = script
  const ids = new Map([
    [model.name, as.name],
    [model.ids.uid, as.uid],
    [model.ids.machineId, randomUUID()],
    [model.ids.decisionId, randomUUID()],
    [`"${model.host}"`, `"${as.host}"`],
  ])
  /** By uid. */
  const versions = new Map([[as.uid, as.resourceVersion]])
  for (const text of script.texts) {
    const own = translated(text, ids)
    if (own.to === 'agent') await give(own.order, to.agents.get(own.host))
    else {
      const reply = written.parse((await to.kube.send(withVersion(own.call, versions))).body).metadata
      versions.set(reply.uid, reply.resourceVersion)
      if (own.call.method === 'POST' && own.call.path.endsWith('/disks')) ids.set(model.ids.diskUid, reply.uid)
    }
  }
}

function translated(step: string, ids: ReadonlyMap<string, string>): Step {
  let text = step
  for (const [from, to] of ids) text = text.replaceAll(from, to)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what was written, with other names
  return JSON.parse(text) as Step
}

/** The version that the last answer had, in place of the model's. */
function withVersion(call: Call, versions: ReadonlyMap<string, string>): Call {
  const body = versioned.safeParse(call.body).data
  if (!body) return call
  const { resourceVersion: _, ...metadata } = body.metadata
  const version = versions.get(body.metadata.uid)
  return { ...call, body: { ...body, metadata: { ...metadata, ...(version && { resourceVersion: version }) } } }
}

async function give(order: Order, agent: HostAgent | undefined): Promise<void> {
  if (!agent) throw new Error('there is no agent of this host')
  if (order.put === 'disk') await agent.putDisk(order.body, order.waitMs)
  else await agent.putMachine(order.body, order.waitMs)
}

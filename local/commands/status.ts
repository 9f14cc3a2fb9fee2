import type { Resource } from '../../crds/kind.ts'
import { Kube } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import { isNameOf } from '../../lib/process-name.ts'
import { isThere } from '../backup/archive.ts'
import { restoreMark, type Home } from '../home.ts'
import { readerTls } from '../platform/agent.ts'
import { ADDRESS } from '../platform/hosts.ts'
import { findLeader, type Leader } from '../platform/leader.ts'
import { findLeftGuests } from '../platform/left-guests.ts'
import { linesOf, takeInventory, whyNotReady } from '../platform/readiness.ts'
import { firstOf } from '../platform/shorten.ts'
import { findRunning, type PlatformState } from '../platform/state.ts'
import { isAlive } from '../../lib/process-identity.ts'
import type { Terminal } from '../terminal.ts'

/**
 * Says what runs. The exit code is 0 when all programs do, one leads, and every Host and DataStorage is Ready; 3 when
 * nothing runs.
 * Machines are whoever's made them: what is wrong with one is said, and no more. Of many only the first are shown,
 * unless all are asked for.
 */
export async function status(home: Home, terminal: Terminal, isAll: boolean): Promise<number> {
  const state = await findRunning(home)
  if (!state) return describeRest(home, terminal)
  terminal.print(`Holdfast in ${home.root}: ${state.phase} (process ${state.supervisor.pid}, since ${state.since})`)
  const doRun = await describePrograms(state, terminal)
  const areReady = await describeObjects(state, terminal, isAll)
  terminal.print(`  kubeconfig: ${state.kubeconfig}; logs: ${home.logs}`)
  describeMetrics(state, home, { terminal, isAll })
  return areReady && doRun ? 0 : 1
}

/** Whether all run, and one of the controllers leads. */
async function describePrograms(state: PlatformState, terminal: Terminal): Promise<boolean> {
  const leader = await leaderOf(state)
  const programs = await lookAt(state)
  for (const { name, pid } of programs) {
    const does = pid !== undefined && leader && isNameOf(leader.holder, pid) ? `, leads in term ${leader.term}` : ''
    terminal.print(`  ${name.padEnd(26)}${pid === undefined ? 'waits to be started again' : `process ${pid}${does}`}`)
  }
  if (!leader) terminal.print('  no process of the controllers leads: nothing is done until one does, within a minute')
  return leader !== undefined && programs.every(({ pid }) => pid !== undefined)
}

/** Undefined, too, when nobody can tell. */
async function leaderOf({ kubeconfig }: PlatformState): Promise<Leader | undefined> {
  try {
    await using kube = await Kube.connect(kubeconfig)
    return await findLeader(kube)
  } catch (error) {
    if (error instanceof KubeError) return undefined
    throw error
  }
}

async function describeRest(home: Home, terminal: Terminal): Promise<number> {
  const left = await findLeftGuests(home)
  const guests =
    left.length === 0 ? '' : ` It left guests running (processes ${left.join(', ')}), which that takes over.`
  const next = (await isThere(restoreMark(home)))
    ? 'A restore was cut off: do it once more with npm run restore -- FILE; until then nothing starts.'
    : 'npm start starts it.'
  terminal.print(`Holdfast does not run in ${home.root}. ${next}${guests}`)
  return 3
}

const MAX_ADDRESSES = 4
const SEE_ALL = 'npm run status -- --all'

/** Where metrics are, and how they are read. */
function describeMetrics(
  { metrics = {} }: PlatformState,
  { agent }: Home,
  { terminal, isAll }: { readonly terminal: Terminal; readonly isAll: boolean },
): void {
  const all = Object.entries(metrics).map(([name, port]) => `${name} https://${ADDRESS}:${port}/metrics`)
  if (all.length === 0) return
  const shown = firstOf(all, isAll ? { max: Infinity } : { max: MAX_ADDRESSES, seeRest: SEE_ALL })
  const { ca, certificate, key } = readerTls(agent)
  terminal.print(`  metrics: ${shown.join(', ')}`)
  terminal.print(`    read them with curl --cacert ${ca} --cert ${certificate} --key ${key} URL`)
}

/** What the state says may be a moment old. */
async function lookAt({ programs }: PlatformState): Promise<{ name: string; pid: number | undefined }[]> {
  return Promise.all(
    Object.entries(programs).map(async ([name, process]) => ({
      name,
      pid: process && (await isAlive(process)) ? process.pid : undefined,
    })),
  )
}

/** Whether it could be asked, and everything that machines need of the platform is Ready. */
async function describeObjects({ kubeconfig }: PlatformState, terminal: Terminal, isAll: boolean): Promise<boolean> {
  try {
    await using kube = await Kube.connect(kubeconfig)
    const { hosts, storages, machines } = await takeInventory(kube)
    const shorten = (seeRest: string) => ({ seeRest, ...(isAll && { max: Infinity }) })
    const lines = [
      ...linesOf(hosts, readiness, shorten('kubectl get hfhost')),
      ...linesOf(storages, readiness, shorten('kubectl get hfds')),
      ...linesOf(machines, readiness, shorten('kubectl get hfvm -A')),
    ]
    for (const line of lines) terminal.print(`  ${line}`)
    const orphans = hosts.reduce((sum, host) => sum + (host.status?.orphanCount ?? 0), 0)
    if (orphans > 0) terminal.print(`  guests without a VirtualMachine: ${orphans}; see kubectl get hfhost`)
    return [...hosts, ...storages].every((object) => whyNotReady(object) === undefined)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    terminal.print(`  the API server does not answer: ${error.message}`)
    return false
  }
}

function readiness(object: Resource): string {
  const why = whyNotReady(object)
  const name = `${object.kind} ${keyOf(object.metadata)}`.padEnd(40)
  return `${name}${why === undefined ? 'Ready' : `not ready: ${why}`}`
}

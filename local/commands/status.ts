import { leaderLease } from '../../crds/leader-lease.ts'
import { Kube } from '../../lib/kube/client.ts'
import { KubeError } from '../../lib/kube/errors.ts'
import { leaseStore } from '../../lib/kube/lease-store.ts'
import { keyOf } from '../../lib/kube/paths.ts'
import { isNameOf } from '../../lib/process-name.ts'
import type { Home } from '../home.ts'
import { takeInventory, whyNotReady } from '../platform/readiness.ts'
import { readState, type PlatformState } from '../platform/state.ts'
import type { Terminal } from '../terminal.ts'

const ANSWER_MS = 5_000

/** Says what runs. The exit code is 0 when all of it does, 3 when nothing runs. */
export async function status(home: Home, terminal: Terminal): Promise<number> {
  const state = await readState(home.state)
  if (!state) {
    terminal.print(`Holdfast does not run in ${home.root}. npm start starts it.`)
    return 3
  }
  terminal.print(`Holdfast in ${home.root}: ${state.phase} (process ${state.supervisor.pid}, since ${state.since})`)
  const leader = await findLeader(state)
  for (const [name, process] of Object.entries(state.programs)) {
    const does = process && leader && isNameOf(leader.holder, process.pid) ? `, leads in term ${leader.term}` : ''
    terminal.print(`  ${name.padEnd(26)}${process ? `process ${process.pid}${does}` : 'waits to be started again'}`)
  }
  const isReached = await describeObjects(state, terminal)
  terminal.print(`  kubeconfig: ${state.kubeconfig}; logs: ${home.logs}`)
  return isReached && Object.values(state.programs).every(Boolean) ? 0 : 1
}

/** Which process of the controllers leads; undefined when none does, or nobody can tell. */
async function findLeader({ kubeconfig }: PlatformState): Promise<{ holder: string; term: number } | undefined> {
  try {
    await using kube = await Kube.connect(kubeconfig)
    const { holder, term = 0 } = (await leaseStore(kube, leaderLease, ANSWER_MS).read()) ?? {}
    return holder === undefined ? undefined : { holder, term }
  } catch (error) {
    if (error instanceof KubeError) return undefined
    throw error
  }
}

async function describeObjects({ kubeconfig }: PlatformState, terminal: Terminal): Promise<boolean> {
  try {
    await using kube = await Kube.connect(kubeconfig)
    const { hosts, storages, machines } = await takeInventory(kube)
    for (const object of [...hosts, ...storages, ...machines]) {
      const why = whyNotReady(object)
      const name = `${object.kind} ${keyOf(object.metadata)}`.padEnd(40)
      terminal.print(`  ${name}${why === undefined ? 'Ready' : `not ready: ${why}`}`)
    }
    return true
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    terminal.print(`  the API server does not answer: ${error.message}`)
    return false
  }
}

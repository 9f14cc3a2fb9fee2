import type { CallOutcome } from '../agent/client.ts'
import type { Host } from '../crds/host.ts'
import { leaderLease } from '../crds/leader-lease.ts'
import type { VirtualMachine } from '../crds/virtual-machine.ts'
import type { ObjectCache } from '../lib/kube/cache.ts'
import { newKubeMetrics, type KubeMetrics } from '../lib/kube/kube-metrics.ts'
import { newMetrics, type Metrics, type Point } from '../lib/metrics/metrics.ts'
import { newQueueMetrics } from '../lib/queue/queue-metrics.ts'
import { newReconcileMetrics } from '../lib/reconcile/reconcile-metrics.ts'
import type { Caches } from './cluster/caches.ts'
import type { ControllerMetrics } from './cluster/controller.ts'
import { describeBin } from './deletion-metrics.ts'

/** Everything that is measured of a process of the controllers. */
export interface ControllersMetrics extends ControllerMetrics {
  readonly metrics: Pick<Metrics, 'contentType' | 'render' | 'describe'>
  readonly kube: KubeMetrics
  /** What the connection to a host's agent tells of its calls. */
  readonly calls: (host: string) => (outcome: CallOutcome, tookMs: number) => void
  /** Shows what the cluster holds. It is looked at when somebody asks, never when something changes. */
  readonly follow: (caches: Caches, now: () => Date) => void
}

/** The words of `printableStatus`, each of which is shown also while no machine has it. */
const STATUSES = [
  'Provisioning',
  'Starting',
  'Running',
  'Paused',
  'Stopping',
  'Stopped',
  'CrashLoopBackOff',
  'ErrorUnschedulable',
  'Terminating',
  'Unknown',
]

/** Few, for each host has them all. */
const CALL_BUCKETS = [0.01, 0.05, 0.25, 1, 5, 30]

/** Makes the metrics of a process of the controllers. */
export function newControllersMetrics(): ControllersMetrics {
  const metrics = newMetrics({ ofProcess: true })
  const kube = newKubeMetrics(metrics)
  kube.leads(leaderLease.name, false)
  const calls = measureCalls(metrics)
  const cluster = describeCluster(metrics)
  const bin = describeBin(metrics)
  let followed: { caches: Caches; now: () => Date } | undefined
  metrics.onScrape(() => {
    if (!followed) return
    const { caches, now } = followed
    cluster(caches)
    bin(caches, now())
    if (caches.hosts.isSynced) calls.retain(caches.hosts)
  })
  return {
    metrics,
    kube,
    queues: newQueueMetrics(metrics),
    reconciles: newReconcileMetrics(metrics),
    calls: (host) => calls.of(host),
    follow(caches, now) {
      followed = { caches, now }
    },
  }
}

function measureCalls(metrics: Metrics) {
  const total = metrics.counter({
    name: 'holdfast_agent_requests_total',
    help: "Calls of hosts' agents, by host and outcome: OK, or the code of the error; UNREACHABLE without an answer.",
    labels: ['host', 'outcome'],
  })
  const duration = metrics.histogram(
    {
      name: 'holdfast_agent_request_duration_seconds',
      help: "How long hosts' agents took to answer, with the time that they were asked to wait for a machine or a disk.",
      labels: ['host'],
    },
    CALL_BUCKETS,
  )
  const outcomes = new Map<string, Set<CallOutcome>>()
  return {
    of(host: string) {
      return (outcome: CallOutcome, tookMs: number) => {
        const seen = outcomes.get(host)
        if (seen) seen.add(outcome)
        else outcomes.set(host, new Set([outcome]))
        total.inc({ host, outcome })
        duration.observe({ host }, tookMs / 1000)
      }
    },
    /** Ends the series of hosts that are gone. */
    retain(hosts: Pick<ObjectCache<Host>, 'get'>) {
      for (const [host, seen] of outcomes) {
        if (hosts.get(host)) continue
        for (const outcome of seen) total.remove({ host, outcome })
        duration.remove({ host })
        outcomes.delete(host)
      }
    },
  }
}

/** Of objects that the API server holds: every process of the controllers says the same, whether it leads or not. */
function describeCluster(metrics: Metrics): (caches: Caches) => void {
  const objects = metrics.sampledGauge({
    name: 'holdfast_objects',
    help: 'Objects in the cluster, by kind.',
    labels: ['kind'],
  })
  const machines = metrics.sampledGauge({
    name: 'holdfast_virtual_machines',
    help: 'VirtualMachines by their printable status.',
    labels: ['status'],
  })
  const hosts = metrics.sampledGauge({
    name: 'holdfast_hosts',
    help: 'Hosts by state: Ready, or the reason why they are not.',
    labels: ['state'],
  })
  const ready = metrics.sampledGauge({
    name: 'holdfast_host_ready',
    help: 'Whether the Host is Ready: 1, or 0.',
    labels: ['host'],
  })
  const orphans = metrics.sampledGauge({
    name: 'holdfast_host_orphans',
    help: 'Machines on the host that no VirtualMachine stands for.',
    labels: ['host'],
  })
  return (caches) => {
    const { virtualMachines, hosts: allHosts } = caches
    objects.replace(countObjects(caches))
    if (virtualMachines.isSynced) machines.replace(countBy('status', STATUSES, virtualMachines.list().map(statusOf)))
    if (!allHosts.isSynced) return
    const list = allHosts.list()
    hosts.replace(countBy('state', ['Ready'], list.map(stateOf)))
    ready.replace(list.map((host) => [{ host: host.metadata.name }, stateOf(host) === 'Ready' ? 1 : 0]))
    orphans.replace(list.map(({ metadata, status }) => [{ host: metadata.name }, status?.orphanCount ?? 0]))
  }
}

function countObjects(caches: Caches): Point<'kind'>[] {
  const byKind: Record<string, Pick<ObjectCache, 'isSynced' | 'size'>> = {
    VirtualMachine: caches.virtualMachines,
    Disk: caches.disks,
    Image: caches.images,
    DataStorage: caches.dataStorages,
    Host: caches.hosts,
  }
  // Before all of a kind is known, its number means nothing.
  return Object.entries(byKind).flatMap(([kind, { isSynced, size }]) => (isSynced ? [[{ kind }, size] as const] : []))
}

function statusOf({ status }: VirtualMachine): string {
  return status?.printableStatus ?? 'Provisioning'
}

function stateOf({ status }: Host): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  if (ready === undefined) return 'Unknown'
  return ready.status === 'True' ? 'Ready' : ready.reason
}

function countBy<Label extends string>(
  label: Label,
  known: readonly string[],
  values: readonly string[],
): Point<Label>[] {
  const counts = new Map(known.map((value) => [value, 0]))
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- TypeScript widens a computed key to string
  return [...counts].map(([value, count]) => [{ [label]: value } as Record<Label, string>, count])
}

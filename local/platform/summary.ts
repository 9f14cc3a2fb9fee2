import { keyOf } from '../../lib/kube/paths.ts'
import type { Host } from '../../crds/host.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { linesOf, whyNotReady, type Inventory } from './readiness.ts'
import { firstOf } from './shorten.ts'

export interface SummaryOptions {
  /** Where a machine prints to, if one does. */
  readonly serialLog: string | undefined
  /** What to type to run kubectl. */
  readonly kubectl: string
  readonly kubeconfig: string
  readonly detached: boolean
}

/** Hosts that are named in one line. */
const MAX_NAMES = 4

/** What runs, and what to try next. */
export function summary({ hosts, machines }: Inventory, options: SummaryOptions): string {
  const { serialLog, detached } = options
  const [kubectl, kubeconfig] = [quoted(options.kubectl), quoted(options.kubeconfig)]
  const isReady = (host: Host) => whyNotReady(host) === undefined
  const away = hosts.filter((host) => !isReady(host)).map((host) => `Host ${host.metadata.name}: ${whyNot(host)}`)
  const machineLine = (vm: VirtualMachine) => `VirtualMachine ${keyOf(vm.metadata)}: ${stateOf(vm)}`
  const shown = [
    ...firstOf(away, { seeRest: `${kubectl} get hfhost` }),
    ...linesOf(machines, machineLine, { seeRest: `${kubectl} get hfvm -A` }),
  ]
  return [
    '',
    whereItRuns(hosts.filter(isReady)),
    ...shown.map((line) => `  ${line}`),
    '',
    'Try next:',
    `  export KUBECONFIG=${kubeconfig}`,
    `  ${kubectl} get hfvm,hfdisk,hfimg,hfds,hfhost`,
    `  ${kubectl} apply -f config/samples`,
    `  ${kubectl} explain virtualmachine.spec`,
    ...(serialLog === undefined ? [] : [`  tail -f ${quoted(serialLog)}`]),
    '',
    detached
      ? 'npm run status says what runs; npm stop ends it, guests included.'
      : 'Ctrl-C ends it, guests included; the next npm start finds everything as it was.',
  ].join('\n')
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./:@%+=,-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}

function whereItRuns(hosts: readonly Host[]): string {
  const names = hosts.map(({ metadata, status }) => `${metadata.name} (${status?.accelerator ?? 'unknown'})`)
  const shown = firstOf(names, { max: MAX_NAMES })
  return names.length === 0 ? 'Holdfast runs, and no Host is ready.' : `Holdfast runs on ${shown.join(', ')}.`
}

function whyNot(host: Host): string {
  return ['not ready', whyNotReady(host)].filter((text) => text !== undefined && text !== '').join(': ')
}

function stateOf(vm: VirtualMachine): string {
  const state = vm.status?.printableStatus ?? 'Provisioning'
  const why = whyNotReady(vm)
  return why === undefined || why === '' ? state : `${state}: ${why}`
}

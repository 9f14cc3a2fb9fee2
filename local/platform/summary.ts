import { join } from 'node:path'
import { keyOf } from '../../lib/kube/paths.ts'
import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import { serialFolder, type Home } from '../home.ts'
import { whyNotReady, type Inventory } from './readiness.ts'

export interface SummaryOptions {
  readonly home: Home
  /** What to type to run kubectl. */
  readonly kubectl: string
  readonly kubeconfig: string
  readonly detached: boolean
}

/** What runs, and what to try next. */
export function summary({ hosts, machines }: Inventory, options: SummaryOptions): string {
  const { home, kubectl, kubeconfig, detached } = options
  const accelerators = hosts.map(({ metadata, status }) => `${metadata.name} (${status?.accelerator ?? 'unknown'})`)
  const serial = machines.find(({ status }) => status?.machineId !== undefined)
  return [
    '',
    `Holdfast runs on ${accelerators.join(', ')}.`,
    ...machines.map((vm) => `  VirtualMachine ${keyOf(vm.metadata)}: ${stateOf(vm)}`),
    '',
    'Try next:',
    `  export KUBECONFIG=${kubeconfig}`,
    `  ${kubectl} get hfvm,hfdisk,hfimg,hfds,hfhost`,
    `  ${kubectl} apply -f config/samples`,
    `  ${kubectl} explain virtualmachine.spec`,
    ...(serial ? [`  tail -f ${join(serialFolder(home), `${serial.status?.machineId}.log`)}`] : []),
    '',
    detached
      ? 'npm run status says what runs; npm stop ends it, guests included.'
      : 'Ctrl-C ends it, guests included; the next npm start finds everything as it was.',
  ].join('\n')
}

function stateOf(vm: VirtualMachine): string {
  const state = vm.status?.printableStatus ?? 'Provisioning'
  const why = whyNotReady(vm)
  return why === undefined || why === '' ? state : `${state}: ${why}`
}

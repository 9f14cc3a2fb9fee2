import type { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { DesiredMachine } from '../../agent/contract.ts'
import type { Status } from './scope.ts'

type RunStrategy = VirtualMachine['spec']['runStrategy']
type Power = 'Running' | 'Stopped'

/**
 * The power that a machine should have. What was decided holds until runStrategy changes: so a request to stop
 * outlasts Always, and a strategy that is new starts or stops the machine. Manual leaves it as it is.
 */
export function wantedPower(strategy: RunStrategy, { decision, runStrategy }: Status): Power {
  const before = decision?.power === 'Running' ? 'Running' : 'Stopped'
  if (strategy === 'Halted') return 'Stopped'
  const isNew = decision === undefined || runStrategy !== strategy
  return isNew && strategy !== 'Manual' ? 'Running' : before
}

/** What a host does when the machine ends by itself. */
export const restartPolicy: Record<RunStrategy, DesiredMachine['restart']> = {
  Always: 'Always',
  RerunOnFailure: 'OnFailure',
  Manual: 'Never',
  Halted: 'Never',
}

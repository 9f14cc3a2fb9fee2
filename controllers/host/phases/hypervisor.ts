import { HostCondition } from '../../../crds/host.ts'
import { done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Scope } from '../scope.ts'

/** Says whether the host has a QEMU that we can use. */
export const requireHypervisor: Phase<Scope> = {
  condition: HostCondition.HypervisorReady,

  run({ host, deps }) {
    const problem = deps.fleet.get(host.metadata.name)?.observed?.problem
    return problem ? waiting(problem.code, problem.message) : done
  },
}

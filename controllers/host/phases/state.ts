import { HostCondition } from '../../../crds/host.ts'
import { done, waiting } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import type { Scope } from '../scope.ts'

/** Says whether the agent can keep what it is told, and could read all that it had kept. */
export const requireState: Phase<Scope> = {
  condition: HostCondition.StateStored,
  after: [HostCondition.Connected],

  run({ host, deps }) {
    const problem = deps.fleet.get(host.metadata.name)?.observed?.stateProblem
    return problem ? waiting(problem.code, problem.message) : done
  },
}

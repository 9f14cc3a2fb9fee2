/** Who deletes what is left of a namespace, or of an owner that is gone. Without accounts of their own, it is the last. */
const NAMESPACE_CONTROLLER = 'system:serviceaccount:kube-system:namespace-controller'
const GARBAGE_COLLECTOR = 'system:serviceaccount:kube-system:generic-garbage-collector'
const CONTROLLER_MANAGER = 'system:kube-controller-manager'

/** Whether a delete by that user follows from another delete, which was decided on already. */
export function isConsequenceOf(username: string): boolean {
  return [NAMESPACE_CONTROLLER, GARBAGE_COLLECTOR, CONTROLLER_MANAGER].includes(username)
}

/** Whether that user deletes what is in a namespace that somebody deleted. */
export function emptiesNamespaces(username: string): boolean {
  return [NAMESPACE_CONTROLLER, CONTROLLER_MANAGER].includes(username)
}

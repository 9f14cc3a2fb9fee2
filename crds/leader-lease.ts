import { SYSTEM_NAMESPACE } from './system-namespace.ts'

/** The Lease that the controllers elect their leader by. */
export const leaderLease = { namespace: SYSTEM_NAMESPACE, name: 'holdfast-controllers' } as const

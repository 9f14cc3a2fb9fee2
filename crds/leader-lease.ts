/** The Lease that the controllers elect their leader by. */
export const leaderLease = { namespace: 'holdfast-system', name: 'holdfast-controllers' } as const

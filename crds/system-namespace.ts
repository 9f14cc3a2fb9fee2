/** Where Holdfast keeps what it knows of itself: its lease, its keys, the counts of its brakes. */
export const SYSTEM_NAMESPACE = 'holdfast-system'

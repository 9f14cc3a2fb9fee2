import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'

/** All addresses of a name. */
export type Resolve = (name: string) => Promise<readonly LookupAddress[]>

/** As every other program on this host resolves names. */
export const systemResolve: Resolve = (name) => lookup(name, { all: true })

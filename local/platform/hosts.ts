import type { ObservedMachine } from '../../agent/contract.ts'
import type { Observer } from '../processes/supervise.ts'

/** The hosts of a local platform: this machine, or some that are simulated. Ends what was started for them, guests aside. */
export interface LocalHosts extends AsyncDisposable {
  /** The first of them: without its Host, the platform starts for the first time. */
  readonly name: string
  /** On which their agents listen, by host. */
  readonly ports: ReadonlyMap<string, number>
  /** Host and DataStorage objects. */
  readonly manifests: readonly object[]
  /** Files of config/samples that are applied the first time, to have something to look at. */
  readonly samples: readonly string[]
  /**
   * Guests as their hosts see them now. After a start the API still says what was true before the stop. Undefined where
   * there are no guests to look at.
   */
  machines(): Promise<readonly ObservedMachine[] | undefined>
  /** Shuts the guests down. */
  stopGuests(ending: Ending): Promise<void>
}

export interface Ending extends Pick<Observer, 'say'> {
  /** Asked not to wait for guests. */
  readonly hurry: AbortSignal
}

/** The Host and the DataStorage of a host whose agent listens on this machine. */
export function hostManifests(host: { name: string; port: number; storage: string; path: string }): object[] {
  return [
    {
      apiVersion: 'storage.holdfast.dev/v1alpha1',
      kind: 'DataStorage',
      metadata: { name: host.storage },
      spec: { type: 'Local', local: { host: host.name, path: host.path } },
    },
    {
      apiVersion: 'compute.holdfast.dev/v1alpha1',
      kind: 'Host',
      metadata: { name: host.name },
      spec: { address: ADDRESS, port: host.port },
    },
  ]
}

/** Where agents of a local platform listen. */
export const ADDRESS = '127.0.0.1'

/** As a user writes it. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }
  readonly spec: object
}

/** The same with other metadata, such as another namespace. */
export function withMetadata(manifest: Manifest, metadata: object): Manifest {
  return { ...manifest, metadata: { ...manifest.metadata, ...metadata } }
}

/** A small machine that boots the sample image. */
export function machine(name: string, spec: object = {}): Manifest {
  return {
    apiVersion: 'compute.holdfast.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: {
      memory: '128Mi',
      rootDisk: { imageRef: { name: 'holdfast-guest' } },
      terminationGracePeriodSeconds: 5,
      ...spec,
    },
  }
}

export function disk(name: string, spec: object = {}): Manifest {
  const metadata = { name, namespace: 'default' }
  return { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'Disk', metadata, spec: { size: '64Mi', ...spec } }
}

/** An image from a file of the import folder. */
export function image(name: string, path: string, spec: object = {}): Manifest {
  const metadata = { name, namespace: 'default' }
  const source = { file: { path } }
  return { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'Image', metadata, spec: { source, ...spec } }
}

export function dataStorage(name: string, on: string, path: string): Manifest {
  const spec = { type: 'Local', local: { host: on, path } }
  return { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'DataStorage', metadata: { name }, spec }
}

export function host(name: string, port: number): Manifest {
  const spec = { address: '127.0.0.1', port }
  return { apiVersion: 'compute.holdfast.dev/v1alpha1', kind: 'Host', metadata: { name }, spec }
}

/** An image from a server. */
export function imageByHttp(name: string, url: string, checksum: string): Manifest {
  const metadata = { name, namespace: 'default' }
  const spec = { source: { http: { url } }, checksum }
  return { apiVersion: 'storage.holdfast.dev/v1alpha1', kind: 'Image', metadata, spec }
}

export function platformSettings(spec: object): Manifest {
  const metadata = { name: 'default' }
  return { apiVersion: 'platform.holdfast.dev/v1alpha1', kind: 'PlatformSettings', metadata, spec }
}

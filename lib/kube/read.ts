import type { Kube } from './client.ts'
import { isKubeError } from './errors.ts'

/** What the API server has at that path now; undefined where it has nothing. Throws KubeError for all else. */
export async function readIfThere<T>(kube: Pick<Kube, 'send'>, path: string): Promise<T | undefined> {
  try {
    return (await kube.send<T>({ method: 'GET', path })).body
  } catch (error) {
    if (isKubeError(error, 'NotFound')) return undefined
    throw error
  }
}

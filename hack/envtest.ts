import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startControlPlane } from '../local/control-plane/control-plane.ts'
import { findPrograms } from '../local/control-plane/programs.ts'
import { installManifests } from '../local/platform/install.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of an administrator's kubeconfig. */
    kubeconfig: string
    /** Path of the kubeconfig that has what the controllers may do, and no more. */
    controllersKubeconfig: string
    /** Path of the kubeconfig that has what the webhooks may do, and no more. */
    webhooksKubeconfig: string
    /** Path of kubectl. */
    kubectl: string
  }
}

/** Runs once for all *.envtest.ts: a real control plane that knows every kind. Each test owns a namespace in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { env } = process
  const programs = await findPrograms({ env, say: (line) => console.log(line) })
  const folder = await mkdtemp(join(tmpdir(), 'hf-envtest-'))
  await using undo = new AsyncDisposableStack()
  undo.defer(() => rm(folder, { recursive: true, force: true }))
  const observer = { say: (line: string) => console.log(line), changed: () => undefined }
  const controlPlane = await startControlPlane({ folder, durable: false, programs, env, observer })
  undo.defer(() => controlPlane.stop())
  const { kubeconfig, controllersKubeconfig, webhooksKubeconfig } = controlPlane
  await installManifests({ program: programs.kubectl, kubeconfig, cache: join(folder, 'kubectl'), env })
  project.provide('kubeconfig', kubeconfig)
  project.provide('controllersKubeconfig', controllersKubeconfig)
  project.provide('webhooksKubeconfig', webhooksKubeconfig)
  project.provide('kubectl', programs.kubectl)
  const end = undo.move()
  return () => end.disposeAsync()
}

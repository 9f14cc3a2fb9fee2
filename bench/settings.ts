import type * as z from 'zod'
import { PlatformSettings } from '../crds/platform-settings.ts'
import type { Kube } from '../lib/kube/client.ts'
import { objectPath } from '../lib/kube/paths.ts'

const MANAGER = 'holdfast-bench'
const FOR_GOOD = '2999-12-31T00:00:00Z'

/** As the API server knows somebody. */
export interface Person {
  readonly username: string
  readonly groups: readonly string[]
  readonly [field: string]: unknown
}

/** Who a benchmark is to the API server. */
export async function whoAmI(kube: Kube): Promise<Person> {
  const [apiVersion, kind] = ['authentication.k8s.io/v1', 'SelfSubjectReview']
  const path = `/apis/${apiVersion}/selfsubjectreviews`
  const body = { apiVersion, kind }
  return (await kube.send<{ status: { userInfo: Person } }>({ method: 'POST', path, body })).body.status.userInfo
}

/** Replaces the settings that a benchmark made. Holds a moment later: webhooks and controllers are told by their watches. */
export async function setUp(kube: Kube, spec: z.input<typeof PlatformSettings.spec>): Promise<void> {
  await kube.send({
    method: 'PATCH',
    path: objectPath(PlatformSettings, { name: 'default' }),
    query: { fieldManager: MANAGER, force: true },
    contentType: 'application/apply-patch+yaml',
    body: {
      apiVersion: `${PlatformSettings.group}/${PlatformSettings.version}`,
      kind: PlatformSettings.kind,
      metadata: { name: 'default' },
      spec,
    },
  })
}

/**
 * Settings under which a delete destroys a machine at once, unconfirmed, and past the brake: what a benchmark is done
 * with does not pile up in the recycle bin.
 */
export async function destroyingSettings(kube: Kube): Promise<z.input<typeof PlatformSettings.spec>> {
  const { username } = await whoAmI(kube)
  return {
    deletion: {
      virtualMachine: { policy: 'Immediate', confirmation: 'None' },
      brakeReleases: [{ person: username, kind: 'VirtualMachine', until: FOR_GOOD }],
    },
  }
}

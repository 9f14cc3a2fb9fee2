import * as z from 'zod'
import type { Kube } from '../lib/kube/client.ts'
import type { UserInfo } from './review.ts'
import type { Permission } from './rules/write.ts'

const review = z.object({ status: z.object({ allowed: z.boolean() }) })

/** Asks the API server whether that user holds a permission. Throws KubeError. */
export async function isAllowed(kube: Pick<Kube, 'send'>, user: UserInfo, permission: Permission): Promise<boolean> {
  const { verb, group, plural: resource, namespace, name } = permission
  const { username, uid, groups, extra } = user
  const { body } = await kube.send({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: username, uid, groups, extra, resourceAttributes: { verb, group, resource, namespace, name } },
    },
  })
  return review.parse(body).status.allowed
}

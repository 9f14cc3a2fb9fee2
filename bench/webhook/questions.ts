import { randomUUID } from 'node:crypto'
import { OWNER_LABEL } from '../../crds/deletion.ts'
import { Disk } from '../../crds/disk.ts'
import type { Kind, Resource } from '../../crds/kind.ts'
import { VirtualMachine } from '../../crds/virtual-machine.ts'
import type { Person } from '../settings.ts'
import type { Question } from './load.ts'

/** What questions are about: objects as the API server has them. */
export interface Subjects {
  readonly machine: VirtualMachine
  readonly disk: Disk
  /** Who made them. */
  readonly person: Person
}

type Operation = 'CREATE' | 'UPDATE' | 'DELETE'

interface Change {
  readonly kind: Kind
  readonly operation: Operation
  readonly person: Person
  /** Whose name and namespace are those of the object. */
  readonly subject: Resource
  readonly object: object | null
  readonly oldObject: object | null
}

/** What is asked when somebody creates and changes a machine and a disk: of each, who owns it, then whether it may be. */
export function writeQuestions({ machine, disk, person }: Subjects): Question[] {
  const larger: VirtualMachine = { ...machine, spec: { ...machine.spec, cpus: machine.spec.cpus + 1 } }
  const grown: Disk = { ...disk, spec: { ...disk.spec, size: '512Gi' } }
  return [
    ...creates(VirtualMachine, machine, person),
    ...updates(VirtualMachine, { subject: machine, object: larger, oldObject: machine, person }),
    ...creates(Disk, disk, person),
    ...updates(Disk, { subject: disk, object: grown, oldObject: disk, person }),
  ]
}

function creates(kind: Kind, subject: Resource, person: Person): Question[] {
  const { status: _, metadata, ...rest } = subject
  const { resourceVersion: __, labels, ...others } = metadata
  const { [OWNER_LABEL]: ___, ...unowned } = labels ?? {}
  const change = { kind, operation: 'CREATE', person, subject, oldObject: null } as const
  return [
    ask('/mutate', { ...change, object: { ...rest, metadata: { ...others, labels: unowned } } }),
    ask('/validate', { ...change, object: { ...rest, metadata: { ...others, labels } } }),
  ]
}

function updates(kind: Kind, change: Omit<Change, 'kind' | 'operation'>): Question[] {
  return ['/mutate', '/validate'].map((path) => ask(path, { ...change, kind, operation: 'UPDATE' }))
}

/** Deletes, each of another object and by another person: every one is counted, and written down anew. */
export function deleteQuestions({ machine, disk, person }: Subjects): Question[] {
  const question = (kind: Kind, subject: Resource): Question => ({
    path: pathOf('/validate'),
    body(uid) {
      const oldObject = { ...subject, metadata: { ...subject.metadata, uid: randomUUID() } }
      const change = { person: { ...person, username: `bench-${uid}` }, subject, object: null, oldObject }
      return ask('/validate', { ...change, kind, operation: 'DELETE' }).body(uid)
    },
  })
  return [question(VirtualMachine, machine), question(Disk, disk)]
}

const pathOf = (path: string) => `${path}?timeout=5s`

function ask(path: string, change: Change): Question {
  const rest = JSON.stringify(toRequest(change)).slice(1)
  const start = '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"'
  return { path: pathOf(path), body: (uid) => `${start}${uid}",${rest}}` }
}

const optionsOf = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' } as const

/** The request of an AdmissionReview but for its uid, with the fields that kube-apiserver sends. */
function toRequest({ kind: { group, version, kind, plural }, operation, person, subject, ...objects }: Change) {
  const asked = { kind: { group, version, kind }, resource: { group, version, resource: plural } }
  return {
    ...asked,
    requestKind: asked.kind,
    requestResource: asked.resource,
    name: subject.metadata.name,
    namespace: subject.metadata.namespace,
    operation,
    userInfo: person,
    object: objects.object,
    oldObject: objects.oldObject,
    dryRun: false,
    options: { kind: optionsOf[operation], apiVersion: 'meta.k8s.io/v1', fieldManager: 'kubectl' },
  }
}

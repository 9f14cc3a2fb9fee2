import type { ImageQuery, InspectedImage } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { ImageCondition, ImageReason } from '../../../crds/image.ts'
import { blocked, done, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toQuantity } from '../../../policy/quantity.ts'
import type { FleetHost } from '../../fleet/fleet-host.ts'
import { refusalText } from '../../fleet/refusal.ts'
import type { Answer, Scope } from '../scope.ts'

const ANSWER_MS = 2_000
const RETRY_MS = 5_000
/** Hosts do not tell of a file that is put into the import folder or mended there. Asking again costs them little. */
const LOOK_AGAIN_MS = 10_000

/** Has every host that should have the file check it. The first digest that is found holds for all. */
export const verifyImage: Phase<Scope> = {
  condition: ImageCondition.Verified,

  async run(scope) {
    const { image, status, deps } = scope
    const { host } = image.spec.source.file
    const hosts = host === undefined ? deps.fleet.all() : deps.fleet.all().filter(({ name }) => name === host)
    if (host !== undefined && hosts.length === 0) {
      return blocked(
        ImageReason.HostNotFound,
        `There is no Host ${host}: create it, or make the image without source.file.host`,
      )
    }
    // Those that have the file too: it may have been exchanged since. A host reads a file again only when it changed.
    const connected = hosts.filter(({ state }) => state === 'Connected')
    const inOrder = connected.toSorted((a, b) => a.name.localeCompare(b.name))
    scope.answers = await Promise.all(inOrder.map((candidate) => inspect(scope, candidate)))
    for (const { name, answer } of scope.answers) {
      if (answer?.state === 'Verified') accept(scope, name, answer)
      if (answer?.state === 'Refused' && !isPassing(answer)) drop(status, name)
    }
    return judge(scope)
  },
}

async function inspect({ image, status }: Scope, { name, agent }: FleetHost): Promise<Answer> {
  const { source, format, checksum } = image.spec
  const sha256 = checksum?.replace(/^sha256:/, '') ?? status.sha256
  const query: ImageQuery = { path: source.file.path, format, ...(sha256 !== undefined && { sha256 }) }
  try {
    return { name, answer: await agent.inspectImage(query, ANSWER_MS) }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'UNREACHABLE') return { name }
    // A host in trouble must not keep the image from those that are well.
    return { name, answer: { state: 'Refused', code: ImageReason.CheckFailed, message: refusalText(name, error) } }
  }
}

function accept({ status }: Scope, host: string, answer: Extract<InspectedImage, { state: 'Verified' }>): void {
  status.sha256 ??= answer.sha256
  if (status.sha256 !== answer.sha256) {
    drop(status, host)
    return
  }
  status.size = toQuantity(answer.sizeBytes)
  status.virtualSize = toQuantity(answer.virtualSizeBytes)
  status.hosts = [...new Set(status.hosts).add(host)].toSorted()
}

/** A host that cannot look now says nothing of a file that it had. */
function isPassing({ code }: Refused): boolean {
  return code === ImageReason.CheckFailed
}

type Refused = Extract<InspectedImage, { state: 'Refused' }>

function drop(status: Scope['status'], host: string): void {
  if (status.hosts?.includes(host)) status.hosts = status.hosts.filter((name) => name !== host)
}

function judge({ status, answers }: Scope): Outcome {
  if ((status.hosts ?? []).length > 0) return done
  if (answers.some(({ answer }) => answer?.state === 'Checking'))
    return waiting(ImageReason.Checking, 'The file is being checked', RETRY_MS)
  const refusals = answers.flatMap(({ name, answer }) => (answer?.state === 'Refused' ? [{ name, ...answer }] : []))
  const worst = refusals.find(({ code }) => code !== ImageReason.FileNotFound) ?? refusals[0]
  if (worst) return blocked(worst.code, `${worst.message} (host ${worst.name})`, LOOK_AGAIN_MS)
  return unknown(ImageReason.NoHostReachable, 'No host answers that could have the file: see that its agent runs')
}

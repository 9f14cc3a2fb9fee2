import type { DesiredImage, ImageQuery, InspectedImage } from '../../../agent/contract.ts'
import { AgentError } from '../../../agent/errors.ts'
import { ImageCondition, ImageReason } from '../../../crds/image.ts'
import { blocked, decided, done, unknown, waiting, type Outcome } from '../../../lib/reconcile/outcome.ts'
import type { Phase } from '../../../lib/reconcile/run-phases.ts'
import { toBytes, toQuantity } from '../../../policy/quantity.ts'
import type { FleetHost } from '../../fleet/fleet-host.ts'
import { downloadOrder } from '../download.ts'
import { noteProgress } from '../progress.ts'
import { recoverDownload } from '../recover.ts'
import { refusalText } from '../../fleet/refusal.ts'
import type { Answer, Scope } from '../scope.ts'

const ANSWER_MS = 2_000
const RETRY_MS = 5_000
/** Hosts do not tell of a file that is put into the import folder or mended there. Asking again costs them little. */
const LOOK_AGAIN_MS = 10_000

/** Has every host that should have the file get and check it. The first digest that is found holds for all. */
export const verifyImage: Phase<Scope> = {
  condition: ImageCondition.Verified,

  async run(scope) {
    const recovered = recoverDownload(scope)
    if (recovered) return recovered
    const hosts = candidatesOf(scope)
    if ('type' in hosts) return hosts
    const asked = hostsToAsk(hosts, scope)
    if (asked.length === 0) return judge(scope)
    const order = await downloadOrder(scope)
    // What keeps it from further hosts takes nothing from those that have it.
    if (order && 'type' in order) return isSomewhere(scope) ? done : order
    // Stored before it is asked for, so that whoever deletes the image knows where to.
    if (order && addDownloadHosts(scope, asked)) return decided
    scope.answers = await Promise.all(asked.map((host) => ask(host, order ?? toQuery(scope))))
    return judge(scope)
  },
}

/** The hosts that should have it: of files those that may, of downloads those that could make a disk of it. */
function candidatesOf(scope: Scope): FleetHost[] | Outcome {
  const { image, deps } = scope
  const { file } = image.spec.source
  if (file?.host === undefined) {
    const all = deps.fleet.all()
    const needing = file ? all : all.filter(({ name }) => deps.hasStorage(name))
    if (needing.length > 0 || all.length === 0 || isSomewhere(scope)) return needing
    return waiting(ImageReason.NoDataStorage, 'No host has a DataStorage, so none needs the image yet: create one')
  }
  const { host } = file
  const named = deps.fleet.get(host)
  if (named) return [named]
  return blocked(
    ImageReason.HostNotFound,
    `There is no Host ${host}: create it, or make the image without source.file.host`,
  )
}

/**
 * Of a file those that have it too: it may have been exchanged since, and a host reads it again only when it changed.
 * What was downloaded nobody but the agent changes.
 */
function hostsToAsk(hosts: readonly FleetHost[], { image, status }: Scope): FleetHost[] {
  const connected = hosts.filter(({ state }) => state === 'Connected')
  const isFile = image.spec.source.file !== undefined
  const asked = isFile ? connected : connected.filter(({ name }) => !status.hosts?.includes(name))
  return asked.toSorted((a, b) => a.name.localeCompare(b.name))
}

function addDownloadHosts({ status }: Scope, hosts: readonly FleetHost[]): boolean {
  const told = new Set(status.downloadHosts)
  const before = told.size
  for (const { name } of hosts) told.add(name)
  status.downloadHosts = [...told].toSorted()
  return told.size > before
}

function toQuery({ image, status, deps }: Scope): ImageQuery {
  const { source, format, checksum } = image.spec
  const sha256 = checksum?.replace(/^sha256:/, '') ?? status.sha256
  // A limit that is lowered takes no image from those who use it.
  const limit = status.sha256 === undefined && { maxBytes: toBytes(deps.settings().maxImageSize) }
  return { path: source.file?.path ?? '', format, ...(sha256 !== undefined && { sha256 }), ...limit }
}

async function ask({ name, agent }: FleetHost, order: ImageQuery | DesiredImage): Promise<Answer> {
  try {
    const answer = 'url' in order ? await agent.putImage(order, ANSWER_MS) : await agent.inspectImage(order, ANSWER_MS)
    return { name, answer }
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
  if (status.progress !== undefined) status.progress = 100
}

/** A host that cannot look now says nothing of a file that it had. */
function isPassing({ code }: Refused): boolean {
  return code === ImageReason.CheckFailed
}

type Refused = Extract<InspectedImage, { state: 'Refused' }>

function drop(status: Scope['status'], host: string): void {
  if (status.hosts?.includes(host)) status.hosts = status.hosts.filter((name) => name !== host)
}

function takeNote(scope: Scope): void {
  for (const { name, answer } of scope.answers) {
    if (answer?.state === 'Verified') accept(scope, name, answer)
    if (answer?.state === 'Refused' && !isPassing(answer)) drop(scope.status, name)
  }
}

function isSomewhere({ status }: Scope): boolean {
  return (status.hosts ?? []).length > 0
}

function judge(scope: Scope): Outcome {
  const { answers } = scope
  takeNote(scope)
  if (isSomewhere(scope)) return done
  noteProgress(scope, answers)
  if (answers.some(({ answer }) => answer?.state === 'Checking'))
    return waiting(ImageReason.Checking, 'The file is being checked', RETRY_MS)
  const download = downloadOutcome(answers)
  if (download) return download
  const refusals = answers.flatMap(({ name, answer }) => (answer?.state === 'Refused' ? [{ name, ...answer }] : []))
  const worst = refusals.find(({ code }) => code !== ImageReason.FileNotFound) ?? refusals[0]
  if (worst) return blocked(worst.code, refusalOf(worst.name, worst), LOOK_AGAIN_MS)
  return unknown(ImageReason.NoHostReachable, 'No host answers that could have the file: see that its agent runs')
}

/**
 * One host that downloads is enough to say so. Where each has failed, and is to try again, why is said as it is when they
 * have given up for a while: nothing changes between the two. Nothing when none is about to download.
 */
function downloadOutcome(answers: readonly Answer[]): Outcome | undefined {
  const downloads = answers.flatMap(({ name, answer }) =>
    answer?.state === 'Downloading' ? [{ name, ...answer }] : [],
  )
  const [first] = downloads
  if (!first) return undefined
  const { Downloading } = ImageReason
  const isWell = downloads.some(({ waitsFor, trouble }) => waitsFor === undefined && !trouble)
  if (isWell) return waiting(Downloading, 'The file is being downloaded', RETRY_MS)
  const { name, trouble } = downloads.find((each) => each.trouble) ?? first
  if (trouble) return waiting(trouble.code, refusalOf(name, trouble), RETRY_MS)
  const message = `The file waits for its turn: other downloads are under way on host ${first.name} (${first.waitsFor})`
  return waiting(Downloading, message, RETRY_MS)
}

function refusalOf(host: string, { message }: Pick<Refused, 'message'>): string {
  return `${message} (host ${host})`
}

import { isUtf8 } from 'node:buffer'
import type { ServerOptions } from 'node:https'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { ZodError } from 'zod'
import { RefusalReason } from '../crds/refusal.ts'
import { Deadline } from '../lib/kube/deadline.ts'
import type { Log } from '../lib/log.ts'
import { MAX_SECRET, newDoorkeeper, prefixOf, type Door } from './door.ts'
import type { Answer } from './metrics.ts'
import { parseReview, toAnswer, type AdmissionRequest, type Verdict } from './review.ts'

export interface AppDeps {
  readonly door: Door
  /** Gives up when the signal is aborted, which it asks for if it has to wait. */
  readonly validate: (request: AdmissionRequest, until: Pick<Deadline, 'signal'>) => Promise<Verdict>
  /** Likewise. */
  readonly mutate: AppDeps['validate']
  readonly log: Log
  readonly onAnswered?: ((answer: Answer) => void) | undefined
  /** Of bodies that are read or judged at the same time. Default 128 MiB. */
  readonly maxHeldBytes?: number
  /** TLS. Absent in tests that do not listen. */
  readonly https?: ServerOptions
}

// An object has at most 3 MiB on its way in, and there are two of them.
const MAX_BODY_BYTES = 8 * 1024 * 1024
// A hundred of the largest objects, or ten thousand as they usually are: an API server asks about fewer at once.
const MAX_HELD_BYTES = 128 * 1024 * 1024
const BUSY = 'there is more to judge at once than the webhooks have memory for: try again in a moment'
/** The API server waits for 5 s, and then tells the user less than we can. */
const DECISION_MS = 4_000
const TRY_AGAIN = 'admission could not read what it has to know, so nothing was changed: try again in a moment'
// Longer than the API server keeps a connection that it does not use, so that we never close one which it is about to use.
const KEEP_ALIVE_MS = 150_000
const REQUEST_MS = 10_000

/** Builds the server. It never listens: run.ts does. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { door, validate, mutate, log, onAnswered } = deps
  const app = newApp(deps.https)
  readStrictly(app)
  const objectionTo = newDoorkeeper(door)
  app.addHook('onRequest', (request, reply, next) => {
    const status = objectionTo(request)
    if (status === undefined) {
      next()
      return
    }
    log.warn({ address: request.ip, status }, 'a caller that is not the API server was refused')
    void answerNobody(reply, status)
  })
  limitHeld(app, deps.maxHeldBytes ?? MAX_HELD_BYTES, log)
  answerErrors(app, log)

  const answer = async (webhook: Answer['webhook'], body: unknown, judge: AppDeps['validate']) => {
    const startedMs = performance.now()
    const request = parseReview(body)
    const verdict = await decide(request, judge, log)
    onAnswered?.({ webhook, request, verdict, tookMs: performance.now() - startedMs })
    return toAnswer(request.uid, verdict)
  }
  const prefix = prefixOf(door)
  app.post(`${prefix}/validate`, ({ body }) => answer('validate', body, validate))
  app.post(`${prefix}/mutate`, ({ body }) => answer('mutate', body, mutate))
  return app
}

function newApp(https: ServerOptions | undefined): FastifyInstance {
  const options = {
    bodyLimit: MAX_BODY_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: MAX_SECRET },
  } as const
  return https ? fastify({ ...options, https }) : fastify(options)
}

/** Refuses what there is no memory for, before its body is read: a process that runs out of it answers nobody. */
function limitHeld(app: FastifyInstance, maxBytes: number, log: Log): void {
  let heldBytes = 0
  app.addHook('onRequest', ({ headers }, reply, next) => {
    const isCounted = headers['transfer-encoding'] === undefined
    const bytes = isCounted ? Math.min(Number(headers['content-length'] ?? 0), MAX_BODY_BYTES) : MAX_BODY_BYTES
    if (heldBytes + bytes > maxBytes) {
      log.warn({ heldBytes, bytes }, 'a request was refused, for there is no memory for it')
      void reply.code(503).header('connection', 'close').send({ message: BUSY })
      return
    }
    heldBytes += bytes
    // However it ends.
    reply.raw.once('close', () => (heldBytes -= bytes))
    next()
  })
}

/** JSON in UTF-8 and nothing else; names that would change what objects are get an error. */
function readStrictly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (typeof body !== 'string' && !isUtf8(body)) {
      done(new Unreadable('the body is not UTF-8'))
      return
    }
    void parse(request, body.toString(), done)
  })
}

class Unreadable extends Error {
  readonly statusCode = 400
}

async function decide(request: AdmissionRequest, judge: AppDeps['validate'], log: Log): Promise<Verdict> {
  const { operation, resource, userInfo, dryRun } = request
  const about = { operation, resource: resource.resource, person: userInfo.username, dryRun }
  // Not AbortSignal.timeout: it would live on for seconds after each of thousands of answers.
  using deadline = new Deadline(DECISION_MS)
  try {
    const verdict = await judge(request, deadline)
    if (verdict.refusal) log.info({ ...about, reason: verdict.refusal.reason }, 'a request was refused')
    return verdict
  } catch (err) {
    log.error({ ...about, err }, 'a request could not be judged, and was refused')
    return { refusal: { reason: RefusalReason.FactsUnreadable, message: TRY_AGAIN } }
  }
}

function answerErrors(app: FastifyInstance, log: Log): void {
  app.setNotFoundHandler(async (_request, reply) => answerNobody(reply, 404))
  app.setErrorHandler(async (error, { url }, reply) => {
    if (error instanceof ZodError) return reply.code(400).send({ message: 'the body is no AdmissionReview' })
    if (isClientError(error)) return reply.code(error.statusCode).send({ message: error.message })
    log.error({ err: error, path: url.split('/').at(-1) }, 'a request failed')
    return reply.code(500).send({ message: 'the webhook failed; see its log' })
  })
}

function answerNobody(reply: FastifyReply, status: 401 | 404): FastifyReply {
  // What it would send is not read.
  return reply
    .code(status)
    .header('connection', 'close')
    .send({ message: status === 401 ? 'this is for the API server alone' : 'there is no such path' })
}

// Fastify's own: no JSON, too large, wrong content type.
function isClientError(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return false
  return error.statusCode >= 400 && error.statusCode < 500
}

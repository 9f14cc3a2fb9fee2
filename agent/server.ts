import type { ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import { Readable } from 'node:stream'
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import * as z from 'zod'
import type { Log } from '../lib/log.ts'
import type { Metrics } from '../lib/metrics/metrics.ts'
import {
  agentErrorBody,
  agentEvent,
  desiredDisk,
  desiredImage,
  desiredMachine,
  desiredStorage,
  imageQuery,
  inspectedImage,
  observedDisk,
  observedHost,
  observedMachine,
  observedStorage,
  SEQUENCE_HEADER,
  term,
  TERM_HEADER,
  type AgentErrorCode,
  type HostAgent,
} from './contract.ts'
import { isFullDisk } from './durable-file.ts'
import { AgentError } from './errors.ts'
import { Sequences } from './sequences.ts'
import type { Terms } from './terms.ts'

export interface ServerDeps {
  readonly agent: HostAgent
  readonly log: Log
  readonly terms: Terms
  /** Common name of the caller's certificate; undefined without one that our authority signed. */
  readonly callerOf: (request: FastifyRequest) => string | undefined
  /** Common names of callers that may give orders. */
  readonly clientNames: readonly string[]
  /** Common names of those who may read the metrics, and do nothing else. */
  readonly readerNames: readonly string[]
  readonly metrics: Pick<Metrics, 'contentType' | 'render'>
  /** Absent in tests, which inject. */
  readonly https?: ServerOptions
}

const MAX_BODY_BYTES = 256 * 1024
const MAX_WAIT_MS = 60_000
/** A reader that takes nothing for so long is cut off. */
const STALLED_MS = 30_000
// Longer than any client keeps an idle connection, so that it is always the client who closes.
const KEEP_ALIVE_MS = 75_000

const STATE_FULL =
  "the file system of the agent's own state is full: free space on the host, and the order is taken when it comes again"

const statusOf: Record<AgentErrorCode, number> = {
  BAD_REQUEST: 400,
  NOT_FOUND: 404,
  DISK_NOT_FOUND: 404,
  STALE_EPOCH: 409,
  STALE_ORDER: 409,
  STALE_TERM: 409,
  DISK_CLAIMED: 409,
  DISK_IN_USE: 409,
  IMAGE_REJECTED: 422,
  STORAGE_UNAVAILABLE: 503,
  QEMU_UNAVAILABLE: 503,
  NO_SPACE: 507,
  INTERNAL: 500,
  UNREACHABLE: 502,
}

/** Who shuts a host down need not lead. */
const STOP_GUESTS = '/v1/host/stop-guests'
const METRICS = '/metrics'

const byId = z.object({ id: z.uuid() })
const byName = z.object({ name: desiredStorage.shape.name })
const bySha256 = z.object({ sha256: desiredImage.shape.sha256 })
const ofStorage = z.object({ storage: desiredStorage.shape.name, id: z.uuid() })
const waiting = z.object({ waitMs: z.coerce.number().int().min(0).max(MAX_WAIT_MS).default(0) })
const done = z.object({})

/** Builds the agent's server. It never listens: main.ts does, and tests use inject(). */
export function buildApp(deps: ServerDeps): FastifyInstance {
  const { agent } = deps
  const app = newApp(deps.https)
  guard(app, deps)
  keepTerms(app, deps.terms)
  answerErrors(app, deps.log)

  app.get('/v1/host', async () => observedHost.parse(await agent.host()))
  app.get('/v1/machines', async () => z.array(observedMachine).parse(await agent.machines()))
  const sequences = new Sequences()
  app.put('/v1/machines/:id', async ({ params, query, body, headers }) => {
    const machine = same(read(byId, params), read(desiredMachine, body), 'id')
    // Only here: the body of one that was sent first may come last.
    const sent = sentWhen.safeParse(headers).data
    if (sent) sequences.admit(machine.id, { term: sent[TERM_HEADER], sequence: sent[SEQUENCE_HEADER] })
    return observedMachine.parse(await agent.putMachine(machine, read(waiting, query).waitMs))
  })
  app.put('/v1/storages/:name', async ({ params, body }) => {
    const storage = same(read(byName, params), read(desiredStorage, body), 'name')
    return observedStorage.parse(await agent.putStorage(storage))
  })
  app.put('/v1/disks/:id', async ({ params, query, body }) => {
    const disk = same(read(byId, params), read(desiredDisk, body), 'id')
    return observedDisk.parse(await agent.putDisk(disk, read(waiting, query).waitMs))
  })
  app.delete('/v1/storages/:storage/disks/:id', async ({ params }) => {
    const { storage, id } = read(ofStorage, params)
    await agent.deleteDisk(storage, id)
    return done.parse({})
  })
  app.post('/v1/images/inspect', async ({ query, body }) =>
    inspectedImage.parse(await agent.inspectImage(read(imageQuery, body), read(waiting, query).waitMs)),
  )
  app.put('/v1/images/:sha256', async ({ params, query, body }) => {
    const image = same(read(bySha256, params), read(desiredImage, body), 'sha256')
    return inspectedImage.parse(await agent.putImage(image, read(waiting, query).waitMs))
  })
  app.delete('/v1/images/:sha256', async ({ params }) => {
    await agent.deleteImage(read(bySha256, params).sha256)
    return done.parse({})
  })
  app.post(STOP_GUESTS, async () => {
    await agent.stopGuests()
    return done.parse({})
  })
  app.get('/v1/events', async (request, reply) => streamEvents(agent, request, reply))
  app.get(METRICS, async (_request, reply) => reply.type(deps.metrics.contentType).send(await deps.metrics.render()))
  return app
}

function newApp(https: ServerOptions | undefined): FastifyInstance {
  const options = {
    bodyLimit: MAX_BODY_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 253 },
    frameworkErrors: answerUnreadable,
  }
  return https ? fastify({ ...options, https }) : fastify(options)
}

// A path that cannot be read comes to no handler, not even to the one for errors.
function answerUnreadable(
  { message, statusCode = 400 }: FastifyError,
  _request: unknown,
  { raw }: { readonly raw: ServerResponse },
): void {
  const body = agentErrorBody.parse({ code: 'BAD_REQUEST', message })
  raw.writeHead(statusCode, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** Nobody gets as far as a route without a certificate that may give orders, but for those who only read metrics. */
function guard(app: FastifyInstance, { callerOf, clientNames, readerNames, log }: ServerDeps): void {
  app.addHook('onRequest', async (request) => {
    const caller = callerOf(request)
    if (caller !== undefined && clientNames.includes(caller)) return
    const isReading = request.method === 'GET' && request.routeOptions.url === METRICS
    if (caller !== undefined && readerNames.includes(caller) && isReading) return
    log.warn({ caller, address: request.ip, url: request.url }, 'a caller that may not give orders was refused')
    throw new Forbidden('this certificate may not give orders to an agent')
  })
}

class Forbidden extends Error {}

const sentWhen = z.object({ [TERM_HEADER]: z.coerce.number(), [SEQUENCE_HEADER]: z.coerce.number() })

const anyTerm = z.object({
  [TERM_HEADER]: z
    .string()
    .regex(/^\d{1,10}$/)
    .transform(Number)
    .pipe(term)
    .optional(),
})

/** Nothing is changed for a caller whose term is over. A greater one is stored before anything else happens. */
function keepTerms(app: FastifyInstance, terms: Terms): void {
  app.addHook('onRequest', async ({ method, headers, is404, routeOptions }) => {
    // Who only reads must not be able to end a leadership with a term of its own.
    if (is404 || routeOptions.url === METRICS) return
    const { [TERM_HEADER]: sent } = read(anyTerm, headers)
    if (sent !== undefined) await (method === 'GET' ? terms.note(sent) : terms.admit(sent))
    else if (method !== 'GET' && routeOptions.url !== STOP_GUESTS) {
      throw new AgentError('BAD_REQUEST', `the header ${TERM_HEADER} is missing: only a leader may change anything`)
    }
  })
}

function answerErrors(app: FastifyInstance, log: Log): void {
  app.setNotFoundHandler((_request, reply) => answer(reply, new AgentError('NOT_FOUND', 'there is no such path')))
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof Forbidden) return answer(reply, new AgentError('BAD_REQUEST', error.message), 403)
    if (error instanceof AgentError) return answer(reply, error)
    if (isClientError(error)) return answer(reply, new AgentError('BAD_REQUEST', error.message), error.statusCode)
    if (isFullDisk(error)) return answer(reply, new AgentError('NO_SPACE', STATE_FULL))
    log.error({ method: request.method, url: request.url, err: error }, 'a request failed')
    return answer(reply, new AgentError('INTERNAL', 'the agent failed; see its log'))
  })
}

function answer(reply: FastifyReply, error: AgentError, status = statusOf[error.code]): FastifyReply {
  const { code, message, details } = error
  return reply.code(status).send(agentErrorBody.parse({ code, message, ...(details === undefined ? {} : { details }) }))
}

// Fastify's own: no JSON, too large, wrong content type.
function isClientError(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error) || !('statusCode' in error) || typeof error.statusCode !== 'number') return false
  return error.statusCode >= 400 && error.statusCode < 500
}

/** What a caller sent. What this host answers is parsed elsewhere: a mistake there is not the caller's. */
function read<T>(schema: z.ZodType<T>, sent: unknown): T {
  const { success, data, error } = schema.safeParse(sent)
  if (success) return data
  throw new AgentError('BAD_REQUEST', z.prettifyError(error))
}

function same<K extends 'id' | 'name' | 'sha256', T extends Record<K, string>>(
  path: Record<K, string>,
  body: T,
  key: K,
): T {
  if (path[key] === body[key]) return body
  throw new AgentError('BAD_REQUEST', `the ${key} in the path is ${path[key]}, the one in the body is ${body[key]}`)
}

function streamEvents(agent: HostAgent, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { socket } = request.raw
  const ended = new AbortController()
  const lines = Readable.from(toLines(agent.events(ended.signal)), { objectMode: false, highWaterMark: 64 * 1024 })
  socket.setNoDelay(true)
  socket.setTimeout(STALLED_MS, () => socket.destroy())
  reply.raw.once('close', () => {
    ended.abort()
    lines.destroy()
  })
  return reply.type('application/x-ndjson').send(lines)
}

async function* toLines(events: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const event of events) yield `${JSON.stringify(agentEvent.parse(event))}\n`
}

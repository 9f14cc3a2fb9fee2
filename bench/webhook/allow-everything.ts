import { createServer } from 'node:https'
import * as z from 'zod'

// The process of the floor, which floor.ts starts.

const identity = z.object({ cert: z.string(), key: z.string(), ca: z.string() })
const KEEP_ALIVE_MS = 150_000

/** Answers every AdmissionReview. It looks at nothing but the uid, without which there is no answer. */
function allowEverything(tls: z.output<typeof identity>) {
  const asks = { requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' } as const
  return createServer({ ...tls, ...asks, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- whoever checks it is no floor
      const { uid } = (JSON.parse(Buffer.concat(chunks).toString()) as { request: { uid: string } }).request
      const answer = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } }
      const body = JSON.stringify(answer)
      // Without its length it would be sent in chunks, which takes longer.
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      response.end(body)
    })
  })
}

process.once('message', (message) => {
  const server = allowEverything(identity.parse(message))
  server.listen(0, '127.0.0.1', () => process.send?.(server.address()))
})

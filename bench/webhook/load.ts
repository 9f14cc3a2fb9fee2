import { randomUUID } from 'node:crypto'
import { Client } from 'undici'
import { inParallel } from '../scale/machines.ts'

/** A question of the API server, which gets a uid for each time that it is asked. */
export interface Question {
  readonly path: string
  /** JSON, by that uid. */
  readonly body: (uid: string) => string
}

export interface Sample {
  /** Of each answer. */
  readonly latenciesMs: readonly number[]
  readonly seconds: number
  /** How many answers did not allow. */
  readonly refused: number
}

export interface Target extends AsyncDisposable {
  /** Asks so many questions, in turns and so many at once. Throws on what is no answer. */
  ask(questions: readonly Question[], how: { readonly count: number; readonly lanes: number }): Promise<Sample>
}

export interface TargetOptions {
  readonly origin: string
  /** PEM texts: whom to trust, and what the API server shows. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly lanes: number
}

const headers = {
  'content-type': 'application/json',
  accept: 'application/json',
  'user-agent': 'kube-apiserver-admission',
}

/** Talks to a webhook as kube-apiserver does: by HTTP/1.1, with a connection for each question that is under way. */
export function connectTo({ origin, tls, lanes }: TargetOptions): Target {
  const clients = Array.from({ length: lanes }, () => new Client(origin, { connect: tls }))
  return {
    async ask(questions, { count, lanes: used }) {
      const latenciesMs: number[] = []
      let refused = 0
      const free = clients.slice(0, used)
      const startedAt = performance.now()
      await inParallel(count, used, async (index) => {
        const [client, question] = [free.pop(), questions[index % questions.length]]
        if (!client || !question) throw new Error('there is a connection for each lane, and a question')
        const { tookMs, isAllowed } = await answered(client, question)
        latenciesMs.push(tookMs)
        if (!isAllowed) refused++
        free.push(client)
      })
      return { latenciesMs, refused, seconds: (performance.now() - startedAt) / 1000 }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}

/** From the question until its answer is read. */
async function answered(client: Client, { path, body }: Question): Promise<{ tookMs: number; isAllowed: boolean }> {
  const text = body(randomUUID())
  const startedAt = performance.now()
  const response = await client.request({ method: 'POST', path, headers, body: text })
  const answer = await response.body.text()
  const tookMs = performance.now() - startedAt
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${answer}`)
  return { tookMs, isAllowed: answer.includes('"allowed":true') }
}

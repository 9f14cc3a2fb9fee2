import { readFile } from 'node:fs/promises'
import { systemClock } from '../lib/clock.ts'
import { Kube } from '../lib/kube/client.ts'
import { keepCompiled } from '../lib/keep-compiled.ts'
import { createLog } from '../lib/log.ts'
import { tryToServeMetrics } from '../lib/metrics/try-to-serve.ts'
import { defaultPeriods } from './authorities.ts'
import { parseConfig, type WebhooksConfig } from './config.ts'
import { MAX_SECRET, type Door } from './door.ts'
import { newWebhooksMetrics } from './metrics.ts'
import { runWebhooks } from './run.ts'

const LOOK_MS = 10_000
const MIN_SECRET = 32

/** Runs the admission webhooks until SIGTERM or SIGINT. All replicas answer. */
async function main(): Promise<void> {
  const { kubeconfig, listen, names, caller, metrics: served, logLevel } = parseConfig(process.env)
  const log = createLog('holdfast-webhooks', logLevel)
  keepCompiled()
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

  const clientCa = 'clientCaFile' in caller ? await readFile(caller.clientCaFile, 'utf8') : undefined
  const metrics = newWebhooksMetrics()
  await using serving = new AsyncDisposableStack()
  if (served) serving.use(await tryToServeMetrics(served, metrics.metrics, log))
  await using kube = await Kube.connect(kubeconfig, { environment: process.env, observer: metrics.requests })
  await runWebhooks(
    {
      kube,
      clock: systemClock,
      log,
      door: await toDoor(caller),
      clientCa,
      listen,
      names,
      periods: defaultPeriods,
      lookMs: LOOK_MS,
      metrics,
    },
    stop.signal,
  )
  log.info('the webhooks end')
}

async function toDoor(caller: WebhooksConfig['caller']): Promise<Door> {
  if ('clientNames' in caller) return { by: 'Certificate', names: caller.clientNames }
  const secret = (await readFile(caller.pathFile, 'utf8')).trim()
  const isLong = secret.length >= MIN_SECRET && secret.length <= MAX_SECRET
  if (isLong && /^[\w-]+$/.test(secret)) return { by: 'Path', secret }
  throw new Error(
    `write at least ${MIN_SECRET} and at most ${MAX_SECRET} letters and digits into HOLDFAST_WEBHOOKS_PATH_FILE: nobody may guess it`,
  )
}

try {
  await main()
  process.exit(0)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exit(1)
}

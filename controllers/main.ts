import { readFile } from 'node:fs/promises'
import { connectAgent } from '../agent/client.ts'
import { systemClock } from '../lib/clock.ts'
import { Kube } from '../lib/kube/client.ts'
import { KubeError } from '../lib/kube/errors.ts'
import { keepCompiled } from '../lib/keep-compiled.ts'
import { createLog } from '../lib/log.ts'
import { hasEnded, processName } from '../lib/process-name.ts'
import { tryToServeMetrics } from '../lib/metrics/try-to-serve.ts'
import { parseConfig } from './config.ts'
import { newControllersMetrics } from './metrics.ts'
import { runPlatform } from './platform.ts'

/** Runs the controllers until SIGTERM or SIGINT. Of several processes one does the work. Guests run on without them. */
async function main(): Promise<void> {
  const { kubeconfig, agentTls, metrics: served, purgesFrom, relistMs, logLevel } = parseConfig(process.env)
  const log = createLog('holdfast-controllers', logLevel)
  keepCompiled()
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

  const [ca, certificate, key] = await Promise.all(
    [agentTls.ca, agentTls.certificate, agentTls.key].map((path) => readFile(path, 'utf8')),
  )
  const tls = { ca: ca ?? '', certificate: certificate ?? '', key: key ?? '' }
  const metrics = newControllersMetrics()
  await using serving = new AsyncDisposableStack()
  if (served) serving.use(await tryToServeMetrics(served, metrics.metrics, log))
  await using kube = await Kube.connect(kubeconfig, { environment: process.env, observer: metrics.kube.requests })
  await runPlatform(
    {
      kube,
      connect: (host, address, caller) =>
        connectAgent({ ...address, ...caller, hostName: host, tls, onCalled: metrics.calls(host) }),
      clock: systemClock,
      log,
      instance: await processName(),
      hasEnded,
      metrics,
      purgesFrom,
      relistMs,
    },
    stop.signal,
  )
  log.info('the controllers end; guests run on')
}

try {
  await main()
  process.exit(0)
} catch (error) {
  const isMistake = error instanceof KubeError && error.code === 'BadKubeconfig'
  process.stderr.write(`${isMistake || !(error instanceof Error) ? String(error) : (error.stack ?? error.message)}\n`)
  process.exit(1)
}

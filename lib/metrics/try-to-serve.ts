import type { Log } from '../log.ts'
import { followTlsFiles, readTlsFiles } from '../tls/server-files.ts'
import type { MetricsConfig } from './config.ts'
import type { Metrics } from './metrics.ts'
import { serveMetrics } from './server.ts'

/** What a process does is more important than its figures: what keeps these from being served is said, and it goes on. */
export async function tryToServeMetrics(
  { listen, port, files, readers }: MetricsConfig,
  metrics: Pick<Metrics, 'contentType' | 'render'>,
  log: Log,
): Promise<AsyncDisposable> {
  const open = new AsyncDisposableStack()
  try {
    const tls = await readTlsFiles(files)
    const { server } = open.use(await serveMetrics({ metrics, listen, port, tls, readers, log }))
    open.use(followTlsFiles(server, files, log))
    log.info({ address: server.address() }, 'metrics are served')
  } catch (error) {
    log.error({ err: error, listen, port }, 'metrics cannot be served')
  }
  return open
}

import * as z from 'zod'
import { SERVED_BY } from './install.ts'

const configuration = z.looseObject({
  metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).optional() }),
  webhooks: z.array(z.looseObject({ clientConfig: z.looseObject({ url: z.url().optional() }) })).optional(),
})

/** Who serves the webhooks of a configuration: the `npm start` that signed it, else what its address says. */
export function whoServes(written: unknown): string {
  const { metadata, webhooks = [] } = configuration.parse(written)
  const signed = metadata.annotations?.[SERVED_BY]
  if (signed !== undefined) return signed
  const url = webhooks.find(({ clientConfig }) => clientConfig.url !== undefined)?.clientConfig.url
  // Not the whole address: its path may be a secret.
  return url === undefined ? 'a Service of the cluster' : `another Holdfast at ${new URL(url).origin}`
}

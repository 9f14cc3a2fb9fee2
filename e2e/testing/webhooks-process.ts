import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import * as z from 'zod'
import { objectPath } from '../../lib/kube/paths.ts'
import { NodeProcess } from './node-process.ts'
import { eventually, type Platform } from './platform.ts'

const ADDRESS = '127.0.0.1'
const GROUP = { group: 'admissionregistration.k8s.io', version: 'v1', scope: 'Cluster' } as const
const plurals = ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'] as const

export interface WebhooksOptions {
  /** Of a local platform. */
  readonly home: string
  /** Where they think that the API server is. */
  readonly kubeconfig: string
  readonly port: number
}

/** A process of the webhooks. */
export class WebhooksProcess extends NodeProcess {
  readonly port: number

  constructor({ home, kubeconfig, port }: WebhooksOptions) {
    super({
      main: 'webhooks/main.ts',
      log: join(home, 'logs', 'webhooks-under-test.log'),
      env: {
        HOLDFAST_KUBECONFIG: kubeconfig,
        HOLDFAST_WEBHOOKS_LISTEN: ADDRESS,
        HOLDFAST_WEBHOOKS_PORT: String(port),
        HOLDFAST_WEBHOOKS_DNS_NAMES: '',
        HOLDFAST_WEBHOOKS_IPS: ADDRESS,
        HOLDFAST_WEBHOOKS_CLIENT_CA: join(home, 'pki', 'kubernetes', 'ca.crt'),
        HOLDFAST_WEBHOOKS_CLIENT_NAMES: 'kube-apiserver-webhooks',
      },
    })
    this.port = port
  }

  /** Waits until they listen, which they do once they can answer. */
  override async start(): Promise<void> {
    await super.start()
    await eventually(async () => this.#isListening())
  }

  /** Has the API server ask this process, and nobody else. */
  async install(platform: Platform): Promise<void> {
    for (const plural of plurals) {
      const path = objectPath({ ...GROUP, plural }, { name: 'holdfast' })
      const { webhooks } = configuration.parse((await platform.send({ method: 'GET', path })).body)
      const body = webhooks.map(({ clientConfig }, index) => ({
        op: 'replace',
        path: `/webhooks/${index}/clientConfig/url`,
        value: clientConfig.url.replace(/:\d+\//, `:${this.port}/`),
      }))
      await platform.send({ method: 'PATCH', path, contentType: 'application/json-patch+json', body })
    }
  }

  async #isListening(): Promise<boolean> {
    const socket = connect({ host: ADDRESS, port: this.port })
    try {
      await once(socket, 'connect')
      return true
    } catch {
      return false // Not yet.
    } finally {
      socket.destroy()
    }
  }
}

const configuration = z.object({
  webhooks: z.array(z.object({ clientConfig: z.object({ url: z.string() }) })),
})

import { join } from 'node:path'
import { ControllersProcess } from './controllers-process.ts'
import type { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import { freePort } from './free-port.ts'
import { dataStorage, host } from './manifests.ts'
import { Pictures } from './pictures.ts'
import { eventually, isReady, newPlatform, SECTOR, type Platform, type PlatformOptions } from './platform.ts'
import { QmpTap } from './qmp-tap.ts'
import { proxiedKubeconfig, proxyToAgent, proxyToApi } from './proxies.ts'
import { startAgent, type SecondAgent } from './second-agent.ts'
import { WebhooksProcess } from './webhooks-process.ts'

/** Name of the host whose agent can be killed. */
export const HOST = 'host-2'

/** Who can be killed. */
export type Victim = 'controllers' | 'webhooks' | 'agent'

interface Parts {
  readonly platform: Platform
  readonly api: FaultProxy
  readonly host: FaultProxy
  readonly admission: FaultProxy
  readonly kubeconfig: string
  readonly agent: SecondAgent
  readonly tap: QmpTap
  readonly webhooks: WebhooksProcess
  readonly pictures: Pictures
}

/** A platform whose controllers, webhooks and one agent are started and killed by the test, with proxies between them. */
export class UnderTest implements AsyncDisposable {
  readonly platform: Platform
  /** Between the controllers and the API server. */
  readonly api: FaultProxy
  /** Between the controllers and the agent. */
  readonly host: FaultProxy
  /** Between the webhooks and the API server, when they ask it. */
  readonly admission: FaultProxy
  /** Where its controllers think that the API server is. */
  readonly kubeconfig: string
  /** To the machines of the host whose agent can be killed. */
  readonly tap: QmpTap
  /** What can be downloaded, where settings allow that from this computer. */
  readonly pictures: Pictures
  readonly #controllers: ControllersProcess
  readonly #webhooks: WebhooksProcess
  #agent: SecondAgent

  private constructor(parts: Parts) {
    this.platform = parts.platform
    this.api = parts.api
    this.host = parts.host
    this.admission = parts.admission
    this.kubeconfig = parts.kubeconfig
    this.tap = parts.tap
    this.pictures = parts.pictures
    const { home } = parts.platform
    this.#controllers = new ControllersProcess({ home, kubeconfig: parts.kubeconfig, name: 'controllers-under-test' })
    this.#webhooks = parts.webhooks
    this.#agent = parts.agent
  }

  static async start(options?: PlatformOptions): Promise<UnderTest> {
    const platform = await newPlatform(options)
    const started = await platform.start()
    if (started.code !== 0) throw new Error(started.stdout + started.stderr)
    // Its own controllers, which lead no more once they miss their lease.
    process.kill(await platform.pid('controllers'), 'SIGSTOP')
    const tap = await QmpTap.install(platform.home)
    const agent = await startAgent(platform, HOST, { HOLDFAST_AGENT_QEMU: tap.program })
    const api = await proxyToApi(platform, 'holdfast-controllers')
    const admission = await proxyToApi(platform, 'holdfast-webhooks')
    const toHost = await proxyToAgent(platform, HOST, agent.port)
    const kubeconfig = await proxiedKubeconfig(platform, 'holdfast-controllers', api.port)
    const webhooks = await startWebhooks(platform, admission)
    const pictures = await Pictures.of(join(platform.home, 'import', SECTOR))
    const proxies = { api, host: toHost, admission }
    const test = new UnderTest({ platform, ...proxies, kubeconfig, agent, tap, webhooks, pictures })
    await test.startControllers()
    await platform.apply(host(HOST, toHost.port), dataStorage('local-2', HOST, agent.storage))
    await eventually(async () => isReady(await platform.get('datastorages', 'local-2')))
    await eventually(async () =>
      String((await platform.get('images', 'holdfast-guest'))?.status?.['hosts']).includes(HOST),
    )
    return test
  }

  /** Process of the controllers. */
  get controllers(): ControllersProcess {
    return this.#controllers
  }

  /** Process of the webhooks that the API server asks. */
  get webhooks(): WebhooksProcess {
    return this.#webhooks
  }

  get storage(): string {
    return this.#agent.storage
  }

  async startControllers(): Promise<void> {
    await this.#controllers.start()
  }

  async killAgent(): Promise<void> {
    await this.#agent.kill()
  }

  /** At the same address, with everything that it knew. */
  async restartAgent(): Promise<void> {
    this.#agent = await startAgent(this.platform, HOST, { HOLDFAST_AGENT_QEMU: this.tap.program }, this.#agent.port)
  }

  /** Ends it as kill -9 does, and waits until it is gone. */
  async kill(victim: Victim): Promise<void> {
    if (victim === 'controllers') await this.#controllers.kill()
    else if (victim === 'webhooks') await this.#webhooks.kill()
    else await this.killAgent()
  }

  /** Starts again what was killed. */
  async restart(victim: Victim): Promise<void> {
    if (victim === 'controllers') await this.startControllers()
    else if (victim === 'webhooks') await this.#webhooks.start()
    else await this.restartAgent()
  }

  /** Lets everything pass everywhere, and counts from 1 again. */
  resetProxies(): void {
    for (const proxy of [this.api, this.host, this.admission]) proxy.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resetProxies()
    await this.platform.kubectl('delete', 'hfvm', '--all', '--timeout=60s')
    await this.#controllers.kill()
    await this.#webhooks.kill()
    await this.#agent[Symbol.asyncDispose]()
    await Promise.all([this.api, this.host, this.admission].map(async (proxy) => proxy[Symbol.asyncDispose]()))
    await this.platform[Symbol.asyncDispose]()
    await this.pictures[Symbol.asyncDispose]()
  }
}

/** Webhooks in place of the platform's own, which nobody asks any more. */
async function startWebhooks(platform: Platform, admission: FaultProxy): Promise<WebhooksProcess> {
  const kubeconfig = await proxiedKubeconfig(platform, 'holdfast-webhooks', admission.port)
  const webhooks = new WebhooksProcess({ home: platform.home, kubeconfig, port: await freePort() })
  await webhooks.start()
  await webhooks.install(platform)
  // The API server notices a little later. Only ours ask it through the proxy.
  let isAsked = false
  admission.judge = ({ path }) => {
    isAsked ||= path.includes('/configmaps/brake-')
    return { type: 'pass' }
  }
  await eventually(async () => {
    await platform.kubectl('delete', 'hfimg', 'holdfast-guest', '--dry-run=server')
    return isAsked
  })
  admission.reset()
  return webhooks
}

import { ControllersProcess } from './controllers-process.ts'
import type { FaultProxy } from '../../lib/testing/fault-proxy.ts'
import { dataStorage, host } from './manifests.ts'
import { eventually, isReady, newPlatform, type Platform } from './platform.ts'
import { proxiedKubeconfig, proxyToAgent, proxyToApi } from './proxies.ts'
import { startAgent, type SecondAgent } from './second-agent.ts'

/** Name of the host whose agent can be killed. */
export const HOST = 'host-2'

/** A platform whose controllers and one agent are started and killed by the test, with a proxy before each server. */
export class UnderTest implements AsyncDisposable {
  readonly platform: Platform
  /** Between the controllers and the API server. */
  readonly api: FaultProxy
  /** Between the controllers and the agent. */
  readonly host: FaultProxy
  /** Where its controllers think that the API server is. */
  readonly kubeconfig: string
  readonly #controllers: ControllersProcess
  #agent: SecondAgent

  private constructor(parts: {
    platform: Platform
    api: FaultProxy
    host: FaultProxy
    kubeconfig: string
    agent: SecondAgent
  }) {
    this.platform = parts.platform
    this.api = parts.api
    this.host = parts.host
    this.kubeconfig = parts.kubeconfig
    const { home } = parts.platform
    this.#controllers = new ControllersProcess({ home, kubeconfig: parts.kubeconfig, name: 'controllers-under-test' })
    this.#agent = parts.agent
  }

  static async start(): Promise<UnderTest> {
    const platform = await newPlatform()
    const started = await platform.start()
    if (started.code !== 0) throw new Error(started.stdout + started.stderr)
    // Its own controllers, which lead no more once they miss their lease.
    process.kill(await platform.pid('controllers'), 'SIGSTOP')
    const agent = await startAgent(platform, HOST)
    const api = await proxyToApi(platform)
    const toHost = await proxyToAgent(platform, HOST, agent.port)
    const kubeconfig = await proxiedKubeconfig(platform, api.port)
    const test = new UnderTest({ platform, api, host: toHost, kubeconfig, agent })
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

  get storage(): string {
    return this.#agent.storage
  }

  async startControllers(): Promise<void> {
    await this.#controllers.start()
  }

  /** Ends the controllers as kill -9 does, and waits until they are gone. */
  async killControllers(): Promise<void> {
    await this.#controllers.kill()
  }

  async killAgent(): Promise<void> {
    await this.#agent.kill()
  }

  /** At the same address, with everything that it knew. */
  async restartAgent(): Promise<void> {
    this.#agent = await startAgent(this.platform, HOST, {}, this.#agent.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.api.reset()
    this.host.reset()
    await this.platform.kubectl('delete', 'hfvm', '--all', '--timeout=60s')
    await this.killControllers()
    await this.#agent[Symbol.asyncDispose]()
    await Promise.all([this.api[Symbol.asyncDispose](), this.host[Symbol.asyncDispose]()])
    await this.platform[Symbol.asyncDispose]()
  }
}

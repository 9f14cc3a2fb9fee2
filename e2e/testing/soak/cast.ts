import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ControllersProcess } from '../controllers-process.ts'
import { dataStorage, host, image } from '../manifests.ts'
import { eventually, isReady } from '../platform.ts'
import { SimulatedHosts } from '../simulated-hosts.ts'
import { UnderTest } from '../under-test.ts'

const SIMULATED = 5
const START_MS = 300
/** Label of the simulated hosts. */
export const simulatedOnly = { soak: 'simulated' }
/** Image that every host has under the same checksum. */
export const IMAGE = 'soak'

/** Everybody who takes part: two hosts with real guests, five simulated ones, and two processes of the controllers. */
export class Cast implements AsyncDisposable {
  readonly test: UnderTest
  readonly simulated: SimulatedHosts
  /** The one that is killed now and then. */
  readonly mortal: ControllersProcess
  /** One that lives through it all. */
  readonly lasting: ControllersProcess

  private constructor(test: UnderTest, simulated: SimulatedHosts, lasting: ControllersProcess) {
    this.test = test
    this.simulated = simulated
    this.mortal = test.controllers
    this.lasting = lasting
  }

  static async start(): Promise<Cast> {
    const test = await UnderTest.start()
    const { platform } = test
    const simulated = await SimulatedHosts.start(platform, SIMULATED, START_MS)
    const lasting = new ControllersProcess({ home: platform.home, kubeconfig: test.kubeconfig, name: 'lasting' })
    await lasting.start()
    const file = 'holdfast-guest.qcow2'
    const checksum = createHash('sha256')
      .update(await readFile(join(platform.home, 'import', file)))
      .digest('hex')
    await platform.apply(
      image(IMAGE, file, { checksum: `sha256:${checksum}` }),
      ...[...simulated.hosts].flatMap(([name, port]) => [
        labelled(host(name, port)),
        dataStorage(name, name, '/simulated'),
      ]),
    )
    await eventually(async () => (await platform.list('datastorages')).every(isReady))
    await eventually(async () => isReady(await platform.get('images', IMAGE)))
    return new Cast(test, simulated, lasting)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.lasting.signal('SIGCONT')
    this.simulated.signal('SIGCONT')
    await this.test[Symbol.asyncDispose]()
    await this.lasting.kill()
    await this.simulated[Symbol.asyncDispose]()
  }
}

function labelled(manifest: object): object {
  const metadata = 'metadata' in manifest && typeof manifest.metadata === 'object' ? manifest.metadata : {}
  return { ...manifest, metadata: { ...metadata, labels: simulatedOnly } }
}

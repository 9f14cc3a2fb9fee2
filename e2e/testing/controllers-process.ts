import { join } from 'node:path'
import { NodeProcess } from './node-process.ts'

export interface ControllersOptions {
  /** Of a local platform. */
  readonly home: string
  /** Where they think that the API server is. */
  readonly kubeconfig: string
  /** Of its log. */
  readonly name: string
  /** Besides what it is configured by. */
  readonly env?: Readonly<Record<string, string>>
}

/** A process of the controllers. */
export class ControllersProcess extends NodeProcess {
  constructor({ home, kubeconfig, name, env }: ControllersOptions) {
    const pki = (file: string) => join(home, 'pki', 'agents', file)
    super({
      main: 'controllers/main.ts',
      log: join(home, 'logs', `${name}.log`),
      env: {
        ...env,
        HOLDFAST_KUBECONFIG: kubeconfig,
        HOLDFAST_AGENT_CA: pki('ca.crt'),
        HOLDFAST_AGENT_CLIENT_CERT: pki('holdfast-controllers.crt'),
        HOLDFAST_AGENT_CLIENT_KEY: pki('holdfast-controllers.key'),
      },
    })
  }
}

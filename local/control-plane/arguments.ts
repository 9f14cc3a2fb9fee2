/** Only what custom resources meet: deleted namespaces, garbage, service accounts, aggregated roles, admission policies. */
const controllers = [
  'namespace-controller',
  'garbage-collector-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'clusterrole-aggregation-controller',
  'validatingadmissionpolicy-status-controller',
]

/**
 * etcd on Unix sockets in its working folder: nobody else can reach it, and no port can be taken. Relative paths,
 * because the address of a socket has at most 107 characters.
 */
export function etcdArgs({ durable }: { durable: boolean }): string[] {
  return [
    '--data-dir=data',
    '--listen-client-urls=unix://client.sock:0',
    '--listen-peer-urls=unix://peer.sock:0',
    '--advertise-client-urls=http://unused:1', // Must not be a socket. Nobody reads it: there is one member.
    '--log-level=warn',
    ...(durable ? [] : ['--unsafe-no-fsync']),
  ]
}

export interface ServerOptions {
  readonly port: number
  /** Relative to the working folder. */
  readonly etcdSocket: string
}

/** kube-apiserver, run in the folder with its keys. An idle one writes nothing but its own Lease. */
export function apiServerArgs({ port, etcdSocket }: ServerOptions): string[] {
  return [
    `--etcd-servers=unix:${etcdSocket}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--tls-cert-file=kube-apiserver.crt',
    '--tls-private-key-file=kube-apiserver.key',
    '--client-ca-file=ca.crt',
    '--anonymous-auth=false',
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-account-key-file=service-accounts.pub',
    '--service-account-signing-key-file=service-accounts.key',
    '--service-cluster-ip-range=10.96.0.0/24',
    '--authorization-mode=RBAC',
    '--encryption-provider-config=encryption.json',
    '--admission-control-config-file=admission.json', // With it, webhooks know the server.
    '--disable-admission-plugins=ServiceAccount', // Pods never run here.
    '--endpoint-reconciler-type=none', // Nothing in the cluster looks for the server.
    '--profiling=false',
    '--shutdown-watch-termination-grace-period=1s', // Or one open watch delays the stop by a minute.
  ]
}

/** What an environment says of how Go programs treat their memory. */
export function goSettings({ GOGC, GOMEMLIMIT }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...(GOGC !== undefined && { GOGC }), ...(GOMEMLIMIT !== undefined && { GOMEMLIMIT }) }
}

/** kube-controller-manager, whose controllers act as their own service accounts and never as an administrator. */
export const controllerManagerArgs: readonly string[] = [
  '--kubeconfig=kube-controller-manager.kubeconfig',
  '--use-service-account-credentials=true',
  '--service-account-private-key-file=service-accounts.key',
  '--root-ca-file=ca.crt',
  '--leader-elect=false',
  '--secure-port=0',
  '--profiling=false',
  `--controllers=${controllers.join(',')}`,
]

import { readFile } from 'node:fs/promises'
import type { ServerOptions } from 'node:https'
import type { Server } from 'node:net'
import { Server as TLSServer, TLSSocket } from 'node:tls'
import type { Log } from '../log.ts'

/** PEM files. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  /** Of the authority that signs callers' certificates. */
  readonly clientCa: string
}

const LOOK_MS = 60_000

/** Options of a server that only callers with a certificate of our authority get through to. */
export async function readTlsFiles({ certificate, key, clientCa }: TlsFiles): Promise<ServerOptions> {
  const [cert, privateKey, ca] = await Promise.all([certificate, key, clientCa].map((path) => readFile(path, 'utf8')))
  return { cert, key: privateKey, ca, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' }
}

/** Serves with renewed files without a restart. Files that cannot be used are reported, and the old ones stay. */
export function followTlsFiles(server: Server, files: TlsFiles, log: Log): Disposable {
  let current = ''
  const look = async (): Promise<void> => {
    try {
      const options = await readTlsFiles(files)
      const text = JSON.stringify(options)
      if (current !== '' && text !== current && server instanceof TLSServer) {
        server.setSecureContext(options)
        log.info('the TLS files changed and are used')
      }
      current = text
    } catch (error) {
      log.error({ err: error }, 'the TLS files cannot be used; the last ones stay')
    }
  }
  void look()
  const timer = setInterval(() => void look(), LOOK_MS)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Common names by connection. To read a certificate takes longer than to answer most requests, and it stays the same. */
const names = new WeakMap<TLSSocket, string>()

/** Common name of the certificate that a caller has proven to hold; undefined without one of our authority. */
export function callerName(socket: unknown): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const known = names.get(socket)
  if (known !== undefined) return known
  const name: unknown = socket.getPeerCertificate().subject.CN
  if (typeof name !== 'string') return undefined
  names.set(socket, name)
  return name
}

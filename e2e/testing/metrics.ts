import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import type { Platform } from './platform.ts'

/** What a platform answers at `https://127.0.0.1:PORT/PATH`, to the holder of this certificate. */
export async function readMetrics(
  { home }: Pick<Platform, 'home'>,
  url: string,
  reader = 'holdfast-metrics',
): Promise<{ status: number; text: string }> {
  const file = (name: string) => readFile(join(home, 'pki', 'agents', name), 'utf8')
  const [ca, cert, key] = [await file('ca.crt'), await file(`${reader}.crt`), await file(`${reader}.key`)]
  return new Promise((resolve, reject) => {
    const asked = request(url, { ca, cert, key, agent: false }, (response) => {
      const status = response.statusCode ?? 0
      response
        .setEncoding('utf8')
        .toArray()
        .then((chunks) => resolve({ status, text: chunks.join('') }), reject)
    })
    asked.on('error', reject)
    asked.end()
  })
}

/** Addresses of metrics that `npm run status` prints, by program or host. */
export async function metricsAddresses(platform: Platform): Promise<Map<string, string>> {
  const { stdout } = await platform.local('status', '--all')
  return new Map(
    [...stdout.matchAll(/(\S+) (https:\/\/127\.0\.0\.1:\d+\/metrics)/g)].map(([, name = '', url = '']) => [name, url]),
  )
}

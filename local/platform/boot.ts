import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { keyOf } from '../../lib/kube/paths.ts'
import type { Home } from '../home.ts'
import type { Inventory } from './readiness.ts'
import { serialLog } from './summary.ts'

const BOOTED = 'holdfast-guest: booted'
const TAIL_BYTES = 64 * 1024
const PATIENCE_MS = 45_000
const POLL_MS = 200

/** Waits until the sample machine, if there is one that runs, has said on its serial console that its guest booted. */
export async function watchBoot(home: Home, { machines }: Inventory, say: (line: string) => void): Promise<void> {
  const vm = machines.find(
    ({ spec, status }) => spec.rootDisk.imageRef?.name === 'holdfast-guest' && status?.printableStatus === 'Running',
  )
  if (!vm) return
  const name = keyOf(vm.metadata)
  say(`VirtualMachine ${name} runs; its guest boots`)
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    if ((await tail(serialLog(home, vm))).includes(BOOTED)) {
      say(`the guest of ${name} has booted`)
      return
    }
    await sleep(POLL_MS)
  }
  say(`the guest of ${name} has not said yet that it booted: see ${serialLog(home, vm)}`)
}

async function tail(path: string): Promise<string> {
  const file = await open(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return ''
  await using opened = file
  const { size } = await opened.stat()
  const { buffer, bytesRead } = await opened.read(
    Buffer.alloc(TAIL_BYTES),
    0,
    TAIL_BYTES,
    Math.max(0, size - TAIL_BYTES),
  )
  return buffer.toString('utf8', 0, bytesRead)
}

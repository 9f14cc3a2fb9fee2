import { constants } from 'node:fs'
import { copyFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import type { ProgramSearch } from '../control-plane/programs.ts'
import { LocalError } from '../errors.ts'
import { runCommand } from '../processes/run-command.ts'

const BUILDER = fileURLToPath(new URL('../../hack/guest-image.ts', import.meta.url))
const FILE = 'holdfast-guest.qcow2'
const TIMEOUT_MS = 20 * 60_000

const built = z.object({ path: z.string() })

/** Puts the small guest image into an import folder, built if it never was. One that is there stays as it is. */
export async function provideGuestImage(imports: string, { env, say, signal }: ProgramSearch): Promise<void> {
  const target = join(imports, FILE)
  if (await exists(target)) return
  const { code, stdout, stderr } = await runCommand({
    command: process.execPath,
    args: [BUILDER],
    env,
    timeoutMs: TIMEOUT_MS,
    onLine: say,
    ...(signal && { signal }),
  })
  if (code !== 0) throw new LocalError('COMMAND_FAILED', stderr.trim().split('\n').at(-1) ?? 'the guest image failed')
  const draft = `${target}.new`
  await copyFile(built.parse(JSON.parse(stdout)).path, draft, constants.COPYFILE_FICLONE)
  await rename(draft, target)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

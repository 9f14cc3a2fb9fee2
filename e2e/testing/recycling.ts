import { KubeError } from '../../lib/kube/errors.ts'
import type { Manifest } from './manifests.ts'
import { eventually, isReady } from './platform.ts'
import { act, binned, entries, type Entry } from './recycle-bin.ts'
import type { UnderTest } from './under-test.ts'

/** Asks for it until that is accepted, and waits for what comes of it. */
async function seeThrough<T>(ask: () => Promise<void>, look: () => Promise<T | undefined | false>): Promise<T> {
  let isAccepted = false
  return eventually(async () => {
    isAccepted ||= await ask().then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof KubeError)) throw error
        return false
      },
    )
    return isAccepted && look()
  })
}

/** Deletes a machine to the bin, and then what is there of it. */
export async function recycle({ platform }: UnderTest, name: string): Promise<void> {
  const uid = (await platform.get('virtualmachines', name))?.metadata.uid
  const remove = async () => platform.remove('virtualmachines', name)
  const all = async () => entries(platform)
  const isIn = async () => (await all()).find((entry) => entry.name === uid && entry.phase === 'Binned')
  const entry = await seeThrough(remove, isIn)
  await seeThrough(
    async () => act(platform, entry, { action: 'Purge' }),
    async () => (await all()).every((one) => one.name !== uid),
  )
}

/** Brings a machine back from the bin. Throws when it is another one then. */
export async function recover(test: UnderTest, name: string): Promise<void> {
  await bringBack(test, name, async (entry) => act(test.platform, entry, { action: 'Recover' }))
}

/** The same, by a manifest that is applied again. */
export async function restore(test: UnderTest, name: string, manifest: Manifest): Promise<void> {
  await bringBack(test, name, async () => test.platform.put(manifest))
}

async function bringBack({ platform }: UnderTest, name: string, ask: (entry: Entry) => Promise<void>): Promise<void> {
  const entry = await binned(platform, 'VirtualMachine', name)
  await seeThrough(
    async () => ask(entry),
    async () => (await entries(platform)).every((one) => one.name !== entry.name),
  )
  const vm = await eventually(async () => {
    const found = await platform.get('virtualmachines', name)
    return isReady(found) && found
  })
  const root = await platform.get('disks', `${name}-root`)
  const isSame = vm.status?.machineId === entry.contents?.machineId && root?.status?.id === fileIn(entry)
  if (!isSame) throw new Error(`${name} is not the machine that it was: ${JSON.stringify([entry, vm, root])}`)
}

function fileIn({ contents }: Entry): string | undefined {
  return contents?.disks[0]?.id
}

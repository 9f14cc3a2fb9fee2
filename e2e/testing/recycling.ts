import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { KubeError } from '../../lib/kube/errors.ts'
import type { Manifest } from './manifests.ts'
import { eventually, isReady, type Found, type Platform } from './platform.ts'
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

/** Asks for it until that is accepted. */
export async function insist(ask: () => Promise<void>): Promise<void> {
  await seeThrough(ask, async () => true)
}

/** A kind that goes to the bin, by what it is called in paths. */
export type Plural = 'virtualmachines' | 'disks' | 'images'

/** Deletes an object to the bin, and then what is there of it. */
export async function recycle({ platform }: UnderTest, plural: Plural, name: string): Promise<void> {
  const { uid, remove } = await removal(platform, plural, name)
  const all = async () => entries(platform)
  const isIn = async () => (await all()).find((entry) => entry.name === uid && entry.phase === 'Binned')
  const entry = await seeThrough(remove, isIn)
  await seeThrough(
    async () => act(platform, entry, { action: 'Purge' }),
    async () => (await all()).every((one) => one.name !== uid),
  )
}

/** Deletes an object to the bin, and waits until its time there is over. */
export async function outlive({ platform }: UnderTest, plural: Plural, name: string): Promise<void> {
  const { uid, remove } = await removal(platform, plural, name)
  const isIn = async () => (await entries(platform)).some((entry) => entry.name === uid)
  await seeThrough(remove, isIn)
  await eventually(async () => !(await isIn()))
}

/**
 * Deletes an object whose policy is to destroy it at once, with the confirmation that this takes. Throws when anything of
 * it is left then: a file, or an entry of the recycle bin.
 */
export async function destroy({ platform, storage }: UnderTest, plural: 'virtualmachines' | 'disks', name: string) {
  const disk = plural === 'disks' ? name : `${name}-root`
  const found = await Promise.all([platform.get(plural, name), platform.get('disks', disk)])
  const uids = found.map((object) => object?.metadata.uid)
  const isGone = async () => {
    const names = [...(await platform.list(plural)), ...(await platform.list('disks'))].map(
      ({ metadata: { uid } }) => uid,
    )
    return uids.every((uid) => uid !== undefined && !names.includes(uid))
  }
  await seeThrough(async () => removeConfirmed(platform, plural, name), isGone)
  const ofIt = async () =>
    (await entries(platform)).filter((entry) => uids.includes(entry.name) || fileIn(entry) === found[1]?.status?.id)
  await eventually(async () => (await ofIt()).length === 0)
  const files = await readdir(join(storage, 'disks'))
  if (files.includes(`${found[1]?.status?.id}.qcow2`)) throw new Error(`the file of ${disk} is left`)
}

/** As somebody does who is told the token. */
async function removeConfirmed(platform: Platform, plural: Plural, name: string): Promise<void> {
  try {
    await platform.remove(plural, name)
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    const [, token] = /confirm-delete=([0-9a-f]{8})/.exec(error.message) ?? []
    if (token === undefined) throw error
    await platform.change(plural, name, { metadata: { annotations: { 'holdfast.dev/confirm-delete': token } } })
    await platform.remove(plural, name)
  }
}

/** Deletes an object that is to be kept for good. Throws when it is not, or when somebody can destroy it. */
export async function keep({ platform, storage }: UnderTest, plural: 'virtualmachines' | 'disks', name: string) {
  const { uid, remove } = await removal(platform, plural, name)
  const isIn = async () => (await entries(platform)).find((entry) => entry.name === uid && entry.isSettled)
  const entry = await seeThrough(remove, isIn)
  const { policy, purgeAt } = entry.deletion
  if (policy !== 'Never' || purgeAt !== undefined) throw new Error(`${name} is not kept: ${JSON.stringify(entry)}`)
  await act(platform, entry, { action: 'Purge' }).then(
    () => {
      throw new Error(`${name} is to be kept for good, and can be destroyed`)
    },
    (error: unknown) => {
      if (!(error instanceof KubeError)) throw error
    },
  )
  const files = await readdir(join(storage, 'disks'))
  if (!files.includes(`${fileIn(entry)}.qcow2`)) throw new Error(`the file of ${name} is gone`)
}

async function removal(platform: Platform, plural: Plural, name: string) {
  const uid = (await platform.get(plural, name))?.metadata.uid
  return { uid, remove: async () => platform.remove(plural, name) }
}

/** Brings a machine back from the bin. Throws when it is another one then. */
export async function recover(test: UnderTest, name: string): Promise<void> {
  await bringBack(test, name, async (entry) => act(test.platform, entry, { action: 'Recover' }))
}

/** The same, by a manifest that is applied again. */
export async function restore(test: UnderTest, name: string, manifest: Manifest): Promise<void> {
  await bringBack(test, name, async () => test.platform.put(manifest))
}

/** Brings a Disk or an Image back from the bin. Throws when it stands for another file then, or is another download. */
export async function recoverFile({ platform }: UnderTest, plural: 'disks' | 'images', name: string): Promise<void> {
  const entry = await binned(platform, plural === 'disks' ? 'Disk' : 'Image', name)
  await seeThrough(
    async () => act(platform, entry, { action: 'Recover' }),
    async () => (await entries(platform)).every((one) => one.name !== entry.name),
  )
  const found = await eventually(async () => {
    const back = await platform.get(plural, name)
    // A host whose agent was killed has what it had once it is back.
    return back && isReady(back) && (plural === 'disks' || isOnAllHosts(back, entry)) && back
  })
  const isSame = plural === 'disks' ? found.status?.id === fileIn(entry) : isSameDownload(found, entry)
  if (!isSame) throw new Error(`${name} has another file: ${JSON.stringify([entry, found])}`)
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
  const held = entry.contents?.disks ?? []
  const disks = await Promise.all(held.map(async (disk) => platform.get('disks', disk.name)))
  const isSame = vm.status?.machineId === entry.contents?.machineId && held.length > 0
  const hasAll = held.every(({ id }, place) => disks[place]?.status?.id === id)
  if (!isSame || !hasAll)
    throw new Error(`${name} is not the machine that it was: ${JSON.stringify([entry, vm, disks])}`)
}

const downloaded = z.looseObject({ hosts: z.array(z.string()), downloadHosts: z.array(z.string()), sha256: z.string() })

/** Whether hosts still keep for it what they kept before. */
function isSameDownload({ status }: Found, { contents }: Entry): boolean {
  const { downloadHosts, sha256 } = downloaded.parse(status)
  const before = contents?.download
  return before?.sha256 === sha256 && before.hosts.every((host) => downloadHosts.includes(host))
}

/** Whether it is on all hosts on which it was before. */
function isOnAllHosts({ status }: Found, { contents }: Entry): boolean {
  const { hosts } = downloaded.parse(status)
  return (contents?.download?.hosts ?? []).every((host) => hosts.includes(host))
}

function fileIn({ contents }: Entry): string | undefined {
  return contents?.disks[0]?.id
}

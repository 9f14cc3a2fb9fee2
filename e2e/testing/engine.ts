import { disk } from './manifests.ts'
import { eventually, isReady, type Platform, type Result } from './platform.ts'

/** Makes that many Disks, and lets user `engine` delete Disks. Returns once they are Ready. */
export async function prepareEngine(platform: Platform, disks: number): Promise<void> {
  const verbs = ['--verb=get,list,watch,delete', '--resource=disks.storage.holdfast.dev']
  await platform.kubectl('create', 'clusterrole', 'engine', ...verbs)
  await platform.kubectl('create', 'clusterrolebinding', 'engine', '--clusterrole=engine', '--user=engine')
  await platform.apply(...Array.from({ length: disks }, (_, index) => disk(`disk-${index}`)))
  await eventually(async () => (await platform.list('disks')).every(isReady))
}

/** Has it delete all that are there. */
export async function deleteAsEngine(platform: Platform): Promise<Result> {
  return platform.kubectl('delete', 'hfdisk', '--all', '--as=engine')
}

import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Log } from '../../lib/log.ts'
import { removeLeftovers, syncFolder, writeDurably } from '../durable-file.ts'
import type { Reserve } from '../reserve.ts'
import { machineRecord, type MachineRecord } from './record.ts'

/** The records of a host's machines, one file each. */
export interface RecordStore {
  /** Every record. A file that is none is put aside under another name and reported; it stops nothing. */
  loadAll(): Promise<MachineRecord[]>
  /** Survives a crash of the host when it returns. */
  save(record: MachineRecord): Promise<void>
  remove(id: string): Promise<void>
}

const ASIDE = /^([0-9a-f-]{36})\.json\.unreadable$/
const RECORD = /^[0-9a-f-]{36}\.json$/

/** Without a reserve nothing is stored on a full file system. */
export async function openRecordStore(
  folder: string,
  log: Log,
  reserve: Pick<Reserve, 'write'> = { write: writeDurably },
): Promise<RecordStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const known = new Set<string>()
  const pathOf = (id: string) => join(folder, `${id}.json`)

  const load = async (file: string): Promise<MachineRecord | undefined> => {
    const path = join(folder, file)
    const parsed = parse(await readFile(path, 'utf8'))
    if (parsed.success && file === `${parsed.data.desired.id}.json`) {
      known.add(parsed.data.desired.id)
      return parsed.data
    }
    const aside = `${path}.unreadable`
    await rename(path, aside)
    const why = parsed.success ? 'it is the record of another machine' : z.prettifyError(parsed.error)
    log.warn({ file: aside, why }, 'a machine record cannot be read and was put aside; its guest, if any, runs on')
    return undefined
  }

  return {
    loadAll: async () => {
      await removeLeftovers(folder)
      const files = await readdir(folder)
      const records = await Promise.all(files.filter((file) => RECORD.test(file)).map(load))
      return records.filter((record) => record !== undefined)
    },
    save: async (record) => {
      const { id, power } = record.desired
      // A machine that is taken in needs space for as long as it lives; what ends one must not need any.
      const write = known.has(id) || power === 'Absent' ? reserve.write : writeDurably
      await write(pathOf(id), `${JSON.stringify(record)}\n`)
      known.add(id)
    },
    remove: async (id) => {
      await rm(pathOf(id), { force: true })
      known.delete(id)
      await syncFolder(folder)
    },
  }
}

/** Ids of the machines whose records were put aside, in a folder of records, and that were not ordered anew since. */
export function unreadableRecords(files: readonly string[]): string[] {
  return files.flatMap((file) => ASIDE.exec(file)?.[1] ?? []).filter((id) => !files.includes(`${id}.json`))
}

function parse(text: string): z.ZodSafeParseResult<MachineRecord> {
  return z
    .string()
    .transform((json, context) => {
      try {
        return JSON.parse(json) as unknown
      } catch {
        context.addIssue({ code: 'custom', message: 'not JSON' })
        return z.NEVER
      }
    })
    .pipe(machineRecord)
    .safeParse(text)
}

import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Log } from '../../lib/log.ts'
import { syncFolder, writeDurably } from '../durable-file.ts'
import { machineRecord, type MachineRecord } from './record.ts'

/** The records of a host's machines, one file each. */
export interface RecordStore {
  /** Every record. A file that is none is put aside under another name and reported; it stops nothing. */
  loadAll(): Promise<MachineRecord[]>
  /** Survives a crash of the host when it returns. */
  save(record: MachineRecord): Promise<void>
  remove(id: string): Promise<void>
}

const TEMPORARY = /\.tmp$/
const RECORD = /^[0-9a-f-]{36}\.json$/

export async function openRecordStore(folder: string, log: Log): Promise<RecordStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const pathOf = (id: string) => join(folder, `${id}.json`)

  const load = async (file: string): Promise<MachineRecord | undefined> => {
    const path = join(folder, file)
    const parsed = parse(await readFile(path, 'utf8'))
    if (parsed.success && file === `${parsed.data.desired.id}.json`) return parsed.data
    const aside = `${path}.unreadable-${Date.now()}`
    await rename(path, aside)
    const why = parsed.success ? 'it is the record of another machine' : z.prettifyError(parsed.error)
    log.warn({ file: aside, why }, 'a machine record cannot be read and was put aside; its guest, if any, runs on')
    return undefined
  }

  return {
    loadAll: async () => {
      const files = await readdir(folder)
      await Promise.all(files.filter((file) => TEMPORARY.test(file)).map((file) => rm(join(folder, file))))
      const records = await Promise.all(files.filter((file) => RECORD.test(file)).map(load))
      return records.filter((record) => record !== undefined)
    },
    save: (record) => writeDurably(pathOf(record.desired.id), `${JSON.stringify(record)}\n`),
    remove: async (id) => {
      await rm(pathOf(id), { force: true })
      await syncFolder(folder)
    },
  }
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

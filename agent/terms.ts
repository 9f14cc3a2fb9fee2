import { rename } from 'node:fs/promises'
import * as z from 'zod'
import type { Log } from '../lib/log.ts'
import { term, type StaleTerm } from './contract.ts'
import { readIfThere, writeDurably } from './durable-file.ts'
import { AgentError } from './errors.ts'

/** The terms of those who give orders. Of two who think that they lead, the later one does. */
export interface Terms {
  /** Survives a crash of the host when it returns. Throws `STALE_TERM` for one that is older than one before. */
  admit(term: number): Promise<void>
  /** As `admit`, for a caller who changes nothing and so is never refused. */
  note(term: number): Promise<void>
}

const stored = z.object({ term })

/** Opens the file of the highest term. One that cannot be read is put aside: the next call says what the term is. */
export async function openTerms(path: string, log: Log, write = writeDurably): Promise<Terms> {
  let highest = await load(path, log)
  let saving = Promise.resolve()
  let savedTerm = highest

  const save = async (before: Promise<void>, wanted: number) => {
    await before.catch(() => undefined) // Whoever waited for that one was told.
    if (savedTerm >= wanted) return
    await write(path, `${JSON.stringify({ term: wanted })}\n`)
    savedTerm = wanted
  }
  const note = async (seen: number) => {
    highest = Math.max(highest, seen)
    if (savedTerm >= highest) return
    saving = save(saving, highest)
    await saving
  }
  return {
    note,
    async admit(seen) {
      if (seen >= highest) return note(seen)
      const details: StaleTerm = { term: highest }
      throw new AgentError('STALE_TERM', `an order of term ${seen} comes after one of term ${highest}`, { details })
    },
  }
}

async function load(path: string, log: Log): Promise<number> {
  const text = await readIfThere(path)
  if (text === undefined) return 0
  try {
    return stored.parse(JSON.parse(text)).term
  } catch {
    const aside = `${path}.unreadable-${Date.now()}`
    await rename(path, aside)
    log.warn({ file: aside }, 'the file of the highest term cannot be read and was put aside')
    return 0
  }
}

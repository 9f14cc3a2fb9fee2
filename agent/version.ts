import { readFileSync } from 'node:fs'
import * as z from 'zod'

const manifest = z.object({ version: z.string().min(1) })

/** The version of Holdfast, which its agent shows: that in package.json, and written nowhere else. */
export function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return manifest.parse(JSON.parse(text)).version
}

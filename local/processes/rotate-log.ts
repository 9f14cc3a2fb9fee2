import { copyFile, stat, truncate } from 'node:fs/promises'

/** Keeps a log that a program holds open in append mode below `maxBytes`, the part before it in `path.1`. */
export async function rotateLog(path: string, maxBytes: number): Promise<void> {
  const { size } = await stat(path)
  if (size <= maxBytes) return
  await copyFile(path, `${path}.1`)
  await truncate(path)
}

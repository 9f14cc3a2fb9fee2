/** A file of an archive. Everything belongs to root, and no time is kept: equal input gives equal bytes. */
export type CpioEntry =
  | { readonly type: 'directory'; readonly name: string }
  | { readonly type: 'file'; readonly name: string; readonly content: Buffer; readonly executable?: boolean }
  | { readonly type: 'symlink'; readonly name: string; readonly target: string }

// The file types and permissions of stat(2).
const DIRECTORY = 0o040755
const FILE = 0o100644
const PROGRAM = 0o100755
const SYMLINK = 0o120777

/**
 * An archive as the kernel unpacks it: cpio's "new ASCII" format, Documentation/driver-api/early-userspace.
 * A directory has to come before what is in it; names have no leading slash.
 */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const members = entries.flatMap((entry, index) => member(index + 1, entry.name, modeOf(entry), contentOf(entry)))
  return Buffer.concat([...members, ...member(0, 'TRAILER!!!', 0, Buffer.alloc(0))])
}

function modeOf(entry: CpioEntry): number {
  if (entry.type === 'directory') return DIRECTORY
  if (entry.type === 'symlink') return SYMLINK
  return entry.executable === true ? PROGRAM : FILE
}

function contentOf(entry: CpioEntry): Buffer {
  if (entry.type === 'directory') return Buffer.alloc(0)
  return entry.type === 'symlink' ? Buffer.from(entry.target) : entry.content
}

function member(inode: number, name: string, mode: number, content: Buffer): Buffer[] {
  const path = Buffer.from(`${name}\0`)
  const links = 1
  // Inode, mode, uid, gid, links, time, size, device (2), device of a special file (2), length of the name, checksum.
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, path.length, 0]
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`)
  return [header, path, padding(header.length + path.length), content, padding(content.length)]
}

function padding(length: number): Buffer {
  return Buffer.alloc(-length & 3)
}

import { glob, readFile } from 'node:fs/promises'

/** One row of docs/requirements.md. */
export interface Requirement {
  readonly id: string
  readonly title: string
}

/** The rows of the checklist, in its order. */
export function parseRequirements(markdown: string): Requirement[] {
  const rows = markdown.matchAll(/^\| \[[ x]\] ([A-Z0-9]+-\d+) \| (.+?) \|/gm)
  return [...rows].map(([, id = '', title = '']) => ({ id, title: title.replace('**beyond** ', '') }))
}

/** The ids that names of tests in a file's text carry, such as `[DEL-07]`. */
export function provenIds(text: string): string[] {
  const names = text.matchAll(/\b(?:test|it|describe)\b[^('"`]*\(?\s*(['"`])((?:\[[A-Z0-9]+-\d+\]\s*)+)/g)
  return [...new Set([...names].flatMap(([, , ids = '']) => [...ids.matchAll(/[A-Z0-9]+-\d+/g)].map(([id]) => id)))]
}

/** Files with tests that name each id. */
async function findProofs(): Promise<ReadonlyMap<string, readonly string[]>> {
  const proofs = new Map<string, string[]>()
  const exclude = ['node_modules', '**/requirements.test.ts']
  const files = (await Array.fromAsync(glob('**/*.{test,envtest,e2e,soak,suite}.ts', { exclude }))).toSorted()
  for (const file of files) {
    for (const id of provenIds(await readFile(file, 'utf8'))) proofs.set(id, [...(proofs.get(id) ?? []), file])
  }
  return proofs
}

async function main(): Promise<void> {
  const requirements = parseRequirements(await readFile('docs/requirements.md', 'utf8'))
  const proofs = await findProofs()
  for (const { id, title } of requirements) {
    console.log(`${id.padEnd(9)}${proofs.get(id)?.join(', ') ?? `open: ${title}`}`)
  }
  const known = new Set(requirements.map(({ id }) => id))
  const strangers = [...proofs].filter(([id]) => !known.has(id))
  for (const [id, files] of strangers) {
    console.error(`${id} is named by ${files.join(', ')}, but is not in docs/requirements.md`)
  }
  const proven = requirements.filter(({ id }) => proofs.has(id)).length
  console.log(`${requirements.length} requirements, ${proven} with a test, ${requirements.length - proven} open`)
  if (strangers.length > 0 || requirements.length === 0) process.exitCode = 1
}

if (import.meta.main) await main()

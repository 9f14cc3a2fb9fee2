import { glob, readFile } from 'node:fs/promises'
import { parseSync, Visitor, type Argument, type Expression } from 'oxc-parser'

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
  const ids = titlesIn(text).flatMap((title) => [...title.matchAll(/\[([A-Z0-9]+-\d+)\]/g)])
  return [...new Set(ids.map(([, id = '']) => id))]
}

/** Names of tests and of groups of tests; those of a table of tests as they are written. */
function titlesIn(text: string): string[] {
  const titles: string[] = []
  const visitor = new Visitor({
    CallExpression({ callee, arguments: [first] }) {
      if (first && /^(test|it|describe)$/.test(rootOf(callee))) titles.push(textOf(first))
    },
  })
  visitor.visit(parseSync('file.test.ts', text).program)
  return titles
}

/** `test` of `test.each([])`. */
function rootOf(callee: Expression): string {
  if (callee.type === 'MemberExpression') return rootOf(callee.object)
  if (callee.type === 'CallExpression') return rootOf(callee.callee)
  if (callee.type === 'TaggedTemplateExpression') return rootOf(callee.tag)
  return callee.type === 'Identifier' ? callee.name : ''
}

function textOf(node: Argument): string {
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value
  return node.type === 'TemplateLiteral' ? node.quasis.map(({ value }) => value.cooked ?? '').join('') : ''
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

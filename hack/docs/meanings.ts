/** What a word means, and what to do about it; both in Markdown. */
export interface Meaning {
  readonly means: string
  readonly help: string
}

/** Rows of the tables under one heading, by the word in their first cell. */
export type Meanings = ReadonlyMap<string, Meaning>

/**
 * Reads the tables of docs/troubleshooting.md: under each second-level heading, the rows whose first cell is one word
 * in backticks. Texts for people are kept there, where people edit them, and not in the code.
 */
export function parseMeanings(markdown: string): ReadonlyMap<string, Meanings> {
  const sections = markdown.split(/^## /m).slice(1)
  return new Map(sections.map((section) => [section.split('\n', 1)[0]?.trim() ?? '', rowsOf(section)]))
}

function rowsOf(section: string): Meanings {
  const rows = section.matchAll(/^\| `([A-Za-z]+)` *\|(.*)\|\s*$/gm)
  return new Map([...rows].map(([, word = '', rest = '']) => [word, toMeaning(rest)]))
}

function toMeaning(cells: string): Meaning {
  const [means = '', help = ''] = cells.split('|').map((cell) => cell.trim())
  return { means, help }
}

/** Values of one metric in Prometheus' text format 0.0.4, by those of these labels, joined by spaces. Other labels are summed over. */
export function countsOf(text: string, metric: string, labels: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const [, braces = '', value = ''] of text.matchAll(new RegExp(`^${metric}(?:\\{(.*)\\})? (\\S+)`, 'gm'))) {
    const pairs = [...braces.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
    const label = new Map(pairs.map(([, name = '', content = '']) => [name, content]))
    const key = labels.map((name) => label.get(name) ?? '').join(' ')
    counts.set(key, (counts.get(key) ?? 0) + Number(value))
  }
  return counts
}

/** How much each count grew. */
export function growth(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Map<string, number> {
  const grown = [...after].map(([key, value]) => [key, value - (before.get(key) ?? 0)] as const)
  return new Map(grown.filter(([, value]) => value > 0))
}

/** All counts together, or those whose key is of a kind. */
export function sumOf(counts: ReadonlyMap<string, number>, is: (key: string) => boolean = () => true): number {
  return [...counts].reduce((sum, [key, count]) => (is(key) ? sum + count : sum), 0)
}

/** Figures that are no number, by their key: as JSON they would be null, or worse. */
export function oddFigures(figures: object): [key: string, value: unknown][] {
  return leavesOf('', figures).filter(([, value]) => typeof value !== 'number' || !Number.isFinite(value))
}

function leavesOf(path: string, value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]]
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(`${path}.${key}`, inner))
}

import * as z from 'zod'

/** What the documentation needs of a node of an OpenAPI schema. */
const node = z.object({
  type: z.string(),
  format: z.string().optional(),
  description: z.string().optional(),
  default: z.unknown().optional(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  maxItems: z.number().optional(),
  required: z.array(z.string()).optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
  additionalProperties: z.unknown().optional(),
  'x-kubernetes-validations': z.array(z.object({ message: z.string() })).optional(),
})
type Node = z.infer<typeof node>

/** One field of a kind, as a row of a table. */
export interface Field {
  /** As in `spec.rootDisk.imageRef.name`; `[]` stands for each entry of a list, `.*` for each value of a map. */
  readonly path: string
  readonly type: string
  /** As text; `required` for a field that has none and may not be left out. */
  readonly default: string
  readonly description: string
  /** What the API server answers when a rule of the field is broken. */
  readonly refusals: readonly string[]
}

/** Every field of a structural schema and below it, in its own order. The schema's own rules come as the first row. */
export function fieldsOf(schema: unknown, path: string): Field[] {
  return walk(node.parse(schema), path, true)
}

function walk(at: Node, path: string, isRequired: boolean): Field[] {
  const own: Field = {
    path,
    type: typeOf(at),
    default: defaultOf(at, isRequired),
    description: descriptionOf(at),
    refusals: (at['x-kubernetes-validations'] ?? []).map(({ message }) => message),
  }
  return [own, ...below(at, path)]
}

function below({ properties = {}, required = [], items, additionalProperties }: Node, path: string): Field[] {
  const fields = Object.entries(properties).flatMap(([name, child]) =>
    walk(node.parse(child), `${path}.${name}`, required.includes(name)),
  )
  return [...fields, ...entries(items, `${path}[]`), ...entries(additionalProperties, `${path}.*`)]
}

/** A list or a map has rows for its entries only where these have fields of their own. */
function entries(schema: unknown, path: string): Field[] {
  const { success, data } = node.safeParse(schema)
  return success && data.properties ? below(data, path) : []
}

function typeOf({ type, format, enum: values, items, additionalProperties, ...bounds }: Node): string {
  if (values) return values.map((value) => `\`${value}\``).join(' or ')
  if (type === 'integer') return integer(bounds)
  if (type === 'array') return listOf(node.parse(items), bounds.maxItems)
  if (type === 'object') return additionalProperties === undefined ? 'object' : 'map of strings'
  return type === 'string' && format !== undefined ? format : type
}

function integer({ minimum, maximum }: Pick<Node, 'minimum' | 'maximum'>): string {
  if (minimum === undefined || maximum === undefined) return 'integer'
  return `integer, ${minimum} to ${maximum}`
}

function listOf(items: Node, maxItems: number | undefined): string {
  const what = { object: 'objects', string: 'strings', integer: 'integers' }[items.type] ?? items.type
  return `list of ${what}${maxItems === undefined ? '' : `, at most ${maxItems}`}`
}

function defaultOf({ default: value, type }: Node, isRequired: boolean): string {
  if (value === undefined) return isRequired ? 'required' : ''
  // An object that may be left out has what its fields default to, and each of them says so.
  if (type === 'object') return ''
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
}

// The default has a column of its own.
function descriptionOf({ description = '', default: value }: Node): string {
  const end = value === undefined ? -1 : description.lastIndexOf(' Defaults to ')
  return end === -1 ? description : description.slice(0, end)
}

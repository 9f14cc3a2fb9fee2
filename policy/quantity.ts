const units = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const

/** Bytes of a quantity in a spec, such as `4Gi` or `512`. Throws on what the CRDs' schemas refuse. */
export function toBytes(quantity: string): number {
  const bytes = knownBytes(quantity)
  if (bytes === undefined) throw new Error(`not a quantity: ${quantity}`)
  return bytes
}

/** Bytes of a quantity in a status, where anybody may have written anything: undefined when it says nothing. */
export function knownBytes(quantity: string | undefined): number | undefined {
  const [, digits, unit = ''] = /^(\d+)(Ki|Mi|Gi|Ti)?$/.exec(quantity ?? '') ?? []
  if (digits === undefined) return undefined
  const bytes = Number(digits) * (isUnit(unit) ? units[unit] : 1)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** The shortest exact quantity: 1073741824 is `1Gi`, 1073741825 stays `1073741825`. */
export function toQuantity(bytes: number): string {
  const unit = (['Ti', 'Gi', 'Mi', 'Ki'] as const).find((name) => bytes > 0 && bytes % units[name] === 0)
  return unit === undefined ? String(bytes) : `${bytes / units[unit]}${unit}`
}

/** The smallest size, as a spec can name it, that holds so many bytes: whole MiB at least, so 1073741825 is `1025Mi`. */
export function toSize(bytes: number): string {
  return toQuantity(Math.max(1, Math.ceil(bytes / units.Mi)) * units.Mi)
}

/** For messages: rounded down to one decimal of the largest unit that fits, such as `1.5Gi`. */
export function toText(bytes: number): string {
  const unit = (['Ti', 'Gi', 'Mi', 'Ki'] as const).find((name) => bytes >= units[name])
  return unit === undefined ? `${bytes} bytes` : `${Math.floor((bytes / units[unit]) * 10) / 10}${unit}`
}

function isUnit(text: string): text is keyof typeof units {
  return text in units
}

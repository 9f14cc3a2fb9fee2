const FROM_GATEWAY = 'holdfast:user:'
const LABEL_VALUE = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const MAX_READABLE = 52
/** What the value of another name may be. */
const DIGESTED = /-[0-9a-f]{8}$/

/**
 * The value of the label holdfast.dev/owner for a user name of the API server: the name itself where a label takes it.
 * Where it does not, what can be read of the name and `digest` of all of it: two names never share a value by chance.
 */
export function ownerOf(username: string, digest: (text: string) => string): string {
  const name = username.startsWith(FROM_GATEWAY) ? username.slice(FROM_GATEWAY.length) : username
  if (LABEL_VALUE.test(name) && !DIGESTED.test(name)) return name
  const readable = name
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .slice(0, MAX_READABLE)
    .replaceAll(/^-|-$/g, '')
  return `${readable === '' ? 'user' : readable}-${digest(username).slice(0, 8)}`
}

/**
 * What confirms a delete: 8 hex digits of SHA-256 over the uid and the consequences, so that it is worth nothing for
 * another object, and no more once the consequences are others than those that were read.
 */
export function confirmationToken(
  uid: string,
  consequences: readonly string[],
  sha256Hex: (text: string) => string,
): string {
  return sha256Hex(JSON.stringify([uid, ...consequences])).slice(0, 8)
}

const NEWLINE = 10

/** Splits a byte stream into lines without their ends. A last line without an end counts. Throws RangeError for a longer one. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<string, void, undefined> {
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      if (pendingBytes + end - start > maxBytes) throw tooLong(maxBytes)
      pending.push(chunk.subarray(start, end))
      yield Buffer.concat(pending).toString('utf8')
      pending = []
      pendingBytes = 0
      start = end + 1
    }
    pending.push(chunk.subarray(start))
    pendingBytes += chunk.length - start
    if (pendingBytes > maxBytes) throw tooLong(maxBytes)
  }
  if (pendingBytes > 0) yield Buffer.concat(pending).toString('utf8')
}

function tooLong(maxBytes: number): RangeError {
  return new RangeError(`a line of more than ${maxBytes} bytes`)
}

/** Bites when too little comes. */
export interface Watchdog extends Disposable {
  note(bytes: number): void
}

/** Calls `bite` once, when less than `stallBytes` were noted within `stallMs`: a trickle is as bad as silence. */
export function newWatchdog(
  { stallMs, stallBytes }: { readonly stallMs: number; readonly stallBytes: number },
  bite: () => void,
): Watchdog {
  let noted = 0
  const timer = setInterval(() => {
    if (noted >= stallBytes) {
      noted = 0
      return
    }
    clearInterval(timer)
    bite()
  }, stallMs)
  return {
    note: (bytes) => {
      noted += bytes
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

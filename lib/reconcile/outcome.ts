/** How one phase ended. Expected states are values; anything unexpected is thrown. */
export type Outcome =
  | { readonly type: 'done'; readonly reason?: string; readonly message?: string; readonly retryAfterMs?: number }
  | { readonly type: 'decided' }
  | { readonly type: 'gone' }
  | {
      readonly type: 'waiting' | 'unknown' | 'blocked'
      readonly reason: string
      readonly message: string
      readonly retryAfterMs?: number
    }

export const done: Outcome = { type: 'done' }

/** The phase is done, in a way that a user should know of. */
export function doneAs(reason: string, message: string): Outcome {
  return { type: 'done', reason, message }
}

/** The phase is done as far as can be told now; look again after this time. */
export function doneFor(retryAfterMs: number): Outcome {
  return { type: 'done', retryAfterMs }
}

/** The phase put a decision into the status. It is stored at once, and only then acted on, by running all phases again. */
export const decided: Outcome = { type: 'decided' }

/** The phase removed the object itself: there is nothing left to write a status to. */
export const gone: Outcome = { type: 'gone' }

/** The phase is making progress, or something else is; look again on the next event or after `retryAfterMs`. */
export function waiting(reason: string, message: string, retryAfterMs?: number): Outcome {
  return { type: 'waiting', reason, message, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** Nobody can tell now, because what would know does not answer. Nothing is concluded from it. */
export function unknown(reason: string, message: string, retryAfterMs?: number): Outcome {
  return { type: 'unknown', reason, message, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** Only the user can help: they are warned. With `retryAfterMs` they may do so where no event tells of it. */
export function blocked(reason: string, message: string, retryAfterMs?: number): Outcome {
  return { type: 'blocked', reason, message, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

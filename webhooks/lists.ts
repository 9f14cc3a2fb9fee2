import * as z from 'zod'

// zod writes down what is wrong with each element: of a list of a million that is gigabytes. These say once that something is.

/** A list of these. As it is given: nothing is filled in. */
export function listOf<T>(element: z.ZodType<T>): z.ZodType<T[]> {
  return z.custom<T[]>((list) => Array.isArray(list) && list.every((one) => element.safeParse(one).success))
}

/** An object whose values are these, under any names. As it is given. */
export function mapOf<T>(value: z.ZodType<T>): z.ZodType<Record<string, T>> {
  return z.custom<Record<string, T>>(
    (map) =>
      typeof map === 'object' &&
      map !== null &&
      !Array.isArray(map) &&
      Object.values(map).every((one) => value.safeParse(one).success),
  )
}

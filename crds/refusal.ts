/**
 * Why admission refuses a request, as one word for programs: `status.details.causes[0].reason` of the answer. Part of
 * the API: never rename one.
 */
export const RefusalReason = {
  NotPermitted: 'NotPermitted',
  InUse: 'InUse',
  BrakeLatched: 'BrakeLatched',
  ConfirmationRequired: 'ConfirmationRequired',
  NameInRecycleBin: 'NameInRecycleBin',
  NotRecoverable: 'NotRecoverable',
  NotByHand: 'NotByHand',
  AnnotationInvalid: 'AnnotationInvalid',
  FactsUnreadable: 'FactsUnreadable',
} as const
export type RefusalReason = (typeof RefusalReason)[keyof typeof RefusalReason]

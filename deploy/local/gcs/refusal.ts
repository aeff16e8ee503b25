/** What the endpoint refuses to do, as the JSON API words it. */

/** The API's `reason` of each status (https://cloud.google.com/storage/docs/json_api/v1/status-codes). */
const REASONS = {
  304: 'notModified',
  400: 'invalid',
  403: 'forbidden',
  404: 'notFound',
  405: 'methodNotAllowed',
  409: 'conflict',
  410: 'gone',
  412: 'conditionNotMet',
  413: 'uploadTooLarge',
  416: 'requestedRangeNotSatisfiable',
  499: 'clientClosedRequest',
  500: 'backendError',
  501: 'notImplemented',
  503: 'backendError',
} as const;

export type RefusalStatus = keyof typeof REASONS;

/**
 * Ends a request with an HTTP status. Not a `PipelineError`: it is an answer of the protocol that the client reads, and
 * never leaves the endpoint as an error of the pipeline.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: RefusalStatus;

  constructor(status: RefusalStatus, message: string) {
    super(message);
    this.status = status;
  }
}

/** The JSON body of an error answer. */
export function errorBody(status: RefusalStatus, message: string): object {
  return {
    error: { code: status, message, errors: [{ domain: 'global', reason: REASONS[status], message }] },
  };
}

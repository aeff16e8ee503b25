/** The part of a pino logger the endpoint uses: fields, then a constant message. */
export interface EndpointLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

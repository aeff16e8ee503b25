/** The environment of the command. */

/** True when the user wants no colours (https://no-color.org), or has a terminal without any. */
export function wantsNoColour(): boolean {
  return (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb';
}

/** Credentials of repositories' hosts, in the form that apk tools share; empty for none. */
export function httpAuth(): string {
  return process.env['HTTP_AUTH'] ?? '';
}

/** Endpoint of the storage API for `gs://` repositories; empty means Google's. */
export function storageEndpoint(): string {
  return process.env['STORAGE_ENDPOINT'] ?? '';
}

/** The repositories of the operator's file, and what it allows build files to name. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type KeyRing, loadPublicKey } from '../shared/apk/keys.ts';
import type { AllowedHostConfig, CredentialsConfig, RepositoryConfig } from './config.ts';
import { authorizationFor, authorizationOfFile, type HostCredentials } from './environment/credentials.ts';
import type { NamedRepositoryPolicy } from './environment/named-repositories.ts';
import type { Repository } from './environment/repository.ts';
import { isStorageLocation, storageUrl } from './environment/storage-location.ts';

export interface RepositoriesAccess {
  /** By host; never for `gs://`. */
  readonly credentials: readonly HostCredentials[];
  /** Whether they may be sent over plain HTTP, as on one machine. */
  readonly plainHttp: 'refused' | 'allowed';
  /** Endpoint of the storage API, empty for Google's. */
  readonly storageEndpoint: string;
  /** Value of the `Authorization` header for that endpoint, where it needs one. */
  readonly storageAuthorization: (() => Promise<string | undefined>) | undefined;
}

/**
 * A repository of the operator's file: a URL, or `gs://BUCKET/PATH`.
 *
 * @throws PipelineError `config-invalid`, `key-unusable`; what the file system says of its keys.
 */
export async function configuredRepository(
  from: RepositoryConfig,
  access: RepositoriesAccess,
): Promise<Repository> {
  const url = (from.url ?? from.location).replace(/\/+$/, '');
  const isStorage = isStorageLocation(url);
  const authorization = isStorage
    ? access.storageAuthorization
    : authorizationFor(url, access.credentials, access.plainHttp);
  return {
    location: from.location,
    baseUrl: isStorage ? storageUrl(url, access.storageEndpoint) : url,
    mayBeEmpty: false,
    keys: await readKeys(from.keys),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

/** Credentials of a host, read from their file each time they are needed. */
export function configuredCredentials({ host, basicFile, bearerFile }: CredentialsConfig): HostCredentials {
  const path = basicFile ?? bearerFile ?? '';
  const form = basicFile === undefined ? 'bearer' : 'basic';
  return { host, authorization: () => authorizationOfFile(path, form) };
}

/** What build files may name. Throws as `configuredRepository`. */
export async function namedRepositoryPolicy(
  hosts: readonly AllowedHostConfig[],
  credentials: readonly HostCredentials[],
): Promise<NamedRepositoryPolicy> {
  const keys = new Map<string, KeyRing>();
  for (const { host, keys: paths } of hosts) {
    keys.set(host, new Map([...(keys.get(host) ?? []), ...(await readKeys(paths))]));
  }
  return { reach: { hosts: [...keys.keys()] }, keys, credentials };
}

async function readKeys(paths: readonly string[]): Promise<KeyRing> {
  const keys = new Map<string, ReturnType<typeof loadPublicKey>>();
  for (const path of paths) keys.set(basename(path), loadPublicKey(await readFile(path), basename(path)));
  return keys;
}

/** What a process of a test needs of the fixture without the test runner being loaded. */
import { Firestore } from '@google-cloud/firestore';
import { createLog, type Log } from '../../../shared/log.ts';

// Without it the clients look for Google's metadata server first.
process.env['METADATA_SERVER_DETECTION'] = 'none';

export const silentLog: Log = createLog('test', 'silent');

/** A client like that of the runner; its owner terminates it. */
export function openFirestore(projectId: string, address: string): Firestore {
  return new Firestore({
    projectId,
    host: address,
    ssl: false,
    customHeaders: { Authorization: 'Bearer owner' },
    ignoreUndefinedProperties: true,
  });
}

/** What this machine builds for. */
import { arch as machineArch } from 'node:os';

/** APK name of this machine's architecture. */
export function localArchitecture(): string {
  return machineArch() === 'arm64' ? 'aarch64' : 'x86_64';
}

/** What the tests of the pipelines that get sources share: one repository. */
import type { ToolchainOptions } from './toolchain.ts';

/** The tools that fetch, unpack and patch. */
export const SOURCES_TOOLCHAIN: ToolchainOptions = {
  name: 'sources',
  debian: ['bzip2', 'findutils', 'git', 'gzip', 'patch', 'tar', 'wget', 'xz-utils'],
};

/** The runner's configuration files, as the local cloud writes them. */
import { localArchitecture } from './architecture.ts';

/** One backend: the local BuildKit. */
export function backendsYaml(address: string): string {
  return `# Written by "make up".
backends:
  - addr: ${JSON.stringify(address)}
    arch: ${localArchitecture()}
    maxJobs: 4
`;
}

/** One repository: the bootstrap repository. */
export function repositoriesYaml(url: string, key: string): string {
  return `# Written by "make up".
repositories:
  - location: carryall-local:bootstrap
    url: ${JSON.stringify(url)}
    keys: [${JSON.stringify(key)}]
`;
}

/** Names of processor architectures, and the triplets that configure scripts and rustc know them by. */

interface ArchitectureNames {
  readonly goarch: string;
  readonly gnu: string;
  readonly rust: string;
}

/** `F` in a triplet stands for the C library's flavour. */
const ARCHITECTURES = {
  x86: { goarch: '386', gnu: 'i486-pc-linux-F', rust: 'i686-unknown-linux-F' },
  x86_64: { goarch: 'amd64', gnu: 'x86_64-pc-linux-F', rust: 'x86_64-unknown-linux-F' },
  aarch64: { goarch: 'arm64', gnu: 'aarch64-unknown-linux-F', rust: 'aarch64-unknown-linux-F' },
  armhf: { goarch: 'arm/v6', gnu: 'arm-unknown-linux-Feabihf', rust: 'armv6-unknown-linux-Feabihf' },
  armv7: { goarch: 'arm/v7', gnu: 'armv7l-unknown-linux-Feabihf', rust: 'armv7-unknown-linux-Feabihf' },
  ppc64le: { goarch: 'ppc64le', gnu: 'powerpc64le-unknown-linux-F', rust: 'powerpc64le-unknown-linux-F' },
  riscv64: { goarch: 'riscv64', gnu: 'riscv64-unknown-linux-F', rust: 'riscv64-unknown-linux-F' },
  s390x: { goarch: 's390x', gnu: 's390x-ibm-linux-F', rust: 's390x-unknown-linux-F' },
  loongarch64: { goarch: 'loong64', gnu: 'loongarch64-unknown-linux-F', rust: 'loongarch64-unknown-linux-F' },
} as const satisfies Record<string, ArchitectureNames>;

/** An architecture by its APK name. */
export type Architecture = keyof typeof ARCHITECTURES;

export type LibcFlavor = 'gnu' | 'musl';

export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES).filter(isArchitecture);

function isArchitecture(name: string): name is Architecture {
  return Object.hasOwn(ARCHITECTURES, name);
}

/** The architecture of an APK name (`x86_64`) or an OCI name (`amd64`); undefined for any other word. */
export function parseArchitecture(name: string): Architecture | undefined {
  if (isArchitecture(name)) return name;
  return ARCHITECTURE_NAMES.find((one) => ARCHITECTURES[one].goarch === name);
}

/** True when the list is empty, holds `all`, or names the architecture in either way. */
export function targetsArchitecture(targets: readonly string[], arch: Architecture): boolean {
  return (
    targets.length === 0 || targets.some((target) => target === 'all' || parseArchitecture(target) === arch)
  );
}

/** The variables that depend on the architecture: `build.*`, `host.triplet.*`, `cross.triplet.*`. */
export function architectureVariables(arch: Architecture, flavor: LibcFlavor): ReadonlyMap<string, string> {
  const { goarch, gnu, rust } = ARCHITECTURES[arch];
  const fill = (triplet: string, libc: LibcFlavor): string => triplet.replace('F', libc);
  return new Map([
    ['build.arch', arch],
    ['build.goarch', goarch],
    ['host.triplet.gnu', fill(gnu, flavor)],
    ['host.triplet.rust', fill(rust, flavor)],
    ['cross.triplet.gnu.glibc', fill(gnu, 'gnu')],
    ['cross.triplet.gnu.musl', fill(gnu, 'musl')],
    ['cross.triplet.rust.glibc', fill(rust, 'gnu')],
    ['cross.triplet.rust.musl', fill(rust, 'musl')],
  ]);
}

/** Architectures: section 11 of the specification of the build file. */
import assert from 'node:assert/strict';
import {
  ARCHITECTURE_NAMES,
  type Architecture,
  compileBuildFile,
  parseArchitecture,
} from '../../../../../shared/build-file/index.ts';
import { compiled, parsed, scripts, withPackage } from '../language.ts';
import { specified } from './lines.ts';

const architectures: readonly (readonly [Architecture, string, string, string])[] = [
  ['x86', '386', 'i486-pc-linux-F', 'i686-unknown-linux-F'],
  ['x86_64', 'amd64', 'x86_64-pc-linux-F', 'x86_64-unknown-linux-F'],
  ['aarch64', 'arm64', 'aarch64-unknown-linux-F', 'aarch64-unknown-linux-F'],
  ['armhf', 'arm/v6', 'arm-unknown-linux-Feabihf', 'armv6-unknown-linux-Feabihf'],
  ['armv7', 'arm/v7', 'armv7l-unknown-linux-Feabihf', 'armv7-unknown-linux-Feabihf'],
  ['ppc64le', 'ppc64le', 'powerpc64le-unknown-linux-F', 'powerpc64le-unknown-linux-F'],
  ['riscv64', 'riscv64', 'riscv64-unknown-linux-F', 'riscv64-unknown-linux-F'],
  ['s390x', 's390x', 's390x-ibm-linux-F', 's390x-unknown-linux-F'],
  ['loongarch64', 'loong64', 'loongarch64-unknown-linux-F', 'loongarch64-unknown-linux-F'],
];

specified('Architectures and triplets, section 11', [
  ...architectures.flatMap(([arch, goarch, gnu, rust]) =>
    (['gnu', 'musl'] as const).map((flavor) => ({
      name: `${arch}, also known as ${goarch}, with the flavour ${flavor}`,
      check: () => {
        const names = [
          'build.arch',
          'build.goarch',
          'host.triplet.gnu',
          'host.triplet.rust',
          'cross.triplet.gnu.glibc',
          'cross.triplet.gnu.musl',
          'cross.triplet.rust.glibc',
          'cross.triplet.rust.musl',
        ];
        const line = names.map((name) => `\${{${name}}}`).join(' ');
        const fill = (triplet: string, libc: string): string => triplet.replace('F', libc);
        assert.deepEqual(
          scripts(compiled(withPackage(`pipeline: [{runs: "${line}"}]\n`), { arch, libcFlavor: flavor })),
          [
            [
              arch,
              goarch,
              fill(gnu, flavor),
              fill(rust, flavor),
              fill(gnu, 'gnu'),
              fill(gnu, 'musl'),
              fill(rust, 'gnu'),
              fill(rust, 'musl'),
            ].join(' '),
          ],
        );
        assert.deepEqual([parseArchitecture(arch), parseArchitecture(goarch)], [arch, arch]);
      },
    })),
  ),
  {
    name: 'these are all',
    check: () => assert.deepEqual([...ARCHITECTURE_NAMES].sort(), architectures.map(([arch]) => arch).sort()),
  },
  ...(
    [
      ['', 's390x', true],
      ['[]', 's390x', true],
      ['[x86_64]', 'x86_64', true],
      ['[x86_64]', 'aarch64', false],
      ['[arm64]', 'aarch64', true],
      ['[amd64, arm/v7]', 'armv7', true],
      ['[all]', 'riscv64', true],
      ['[x86_64, all]', 'riscv64', true],
      ['["${{vars.a}}"]', 'x86', true],
    ] as const
  ).map(([targets, arch, built]) => ({
    name: `ours, one rule for both names and all: target-architecture ${targets || 'not given'} ${built ? 'builds' : 'skips'} ${arch}`,
    check: () => {
      const file = parsed(
        withPackage(`${targets === '' ? '' : `  target-architecture: ${targets}\n`}vars: {a: "386"}\n`),
      );
      const { plan, skipped, diagnostics } = compileBuildFile(file, { arch, lookup: () => undefined });
      assert.deepEqual([plan !== undefined, skipped !== undefined, diagnostics], [built, !built, []]);
    },
  })),
]);

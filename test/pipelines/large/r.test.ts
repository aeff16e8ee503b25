/** R/build with Debian's R, on a package with a function in C. */
import assert from 'node:assert/strict';
import { arch } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from '../toolchain.ts';

const SOURCE = {
  DESCRIPTION:
    'Package: greet\nVersion: 1.0.0\nTitle: Greets\nDescription: It greets.\nAuthor: Nobody\nMaintainer: Nobody <a@a.example>\nLicense: MIT\n',
  NAMESPACE: 'useDynLib(greet)\nexport(greet, twice)\n',
  'R/greet.R':
    'greet <- function(name) paste("hello", name)\ntwice <- function(x) .C("twice", x = as.integer(x))$x\n',
  'src/twice.c': 'void twice(int *x) { *x = 2 * *x; }\n',
  'man/greet.Rd': '\\name{greet}\n\\alias{greet}\n\\title{Greets}\n\\description{It greets.}\n',
};

describe('R packages', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    const libraries = arch() === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
    toolchain = await startToolchain({
      name: 'r',
      debian: ['r-base-core', 'gcc', 'gfortran', 'libc6-dev', 'make'],
      own: [
        {
          name: 'R',
          depends: ['r-base-core'],
          // What Debian's maintainer scripts make.
          links: {
            'etc/R/Renviron': '../../usr/lib/R/etc/Renviron.ucf',
            'usr/lib/libblas.so.3': `${libraries}/blas/libblas.so.3`,
            'usr/lib/liblapack.so.3': `${libraries}/lapack/liblapack.so.3`,
          },
        },
        { name: 'R-dev', depends: ['gcc', 'libc6-dev', 'make'] },
        { name: 'R-doc' },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  const build = (path: string, more = ''): string => `package: {name: r-greet, version: 1.0.0}
pipeline:
${more}  - uses: R/build
    with: {package: greet, version: "\${{package.version}}"${path}}
  - runs: |
      export R_LIBS="$PWD/melange-out/r-greet/usr/lib/R/library"
      Rscript -e 'library(greet); cat(greet("Ada"), twice(21), "\\n")'
`;

  test('the source of the workspace is compiled and installed', async () => {
    const { files, log } = await toolchain.build(build(''), { source: SOURCE });
    assert.match(log, /^hello Ada 42 $/m);
    const library = 'r-greet/usr/lib/R/library/greet';
    for (const name of ['DESCRIPTION', 'NAMESPACE', 'R/greet.rdb', 'help/greet.rdb', 'libs/greet.so']) {
      assert.ok(files.has(`${library}/${name}`), name);
    }
    assert.ok([...files.keys()].every((path) => path.startsWith(`${library}/`)));
  });

  test('a source in a directory or an archive can be named', async () => {
    const source = Object.fromEntries(
      Object.entries(SOURCE).map(([path, text]) => [`the source/${path}`, text]),
    );
    assert.match((await toolchain.build(build(', path: the source'), { source })).log, /^hello Ada 42 $/m);
    const pack = '  - runs: R CMD build "the source"\n';
    const packed = await toolchain.build(build(', path: greet_1.0.0.tar.gz', pack), { source });
    assert.match(packed.log, /^hello Ada 42 $/m);
  });

  test('a source that does not compile, and one that is missing, fail the step', async () => {
    const broken = { ...SOURCE, 'src/twice.c': 'void twice(\n' };
    assert.match((await toolchain.fail(build(''), { source: broken })).log, /compilation failed for package/);
    assert.match((await toolchain.fail(build(', path: absent'))).log, /absent/);
  });
});

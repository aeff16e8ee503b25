/** The Perl pipelines with Debian's Perl, between them what make does: one module in Perl, one in C. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

const MODULE = {
  'Makefile.PL': `use ExtUtils::MakeMaker;
use inc::Extra;
my $mood = prompt('Which mood?', 'calm');
print "mood $mood, extra $inc::Extra::value, CFLAGS $ENV{CFLAGS}\\n";
WriteMakefile(NAME => 'Greet', VERSION_FROM => 'lib/Greet.pm', EXE_FILES => ['bin/greet']);
`,
  'inc/Extra.pm': 'package inc::Extra;\nour $value = "found";\n1;\n',
  'lib/Greet.pm':
    'package Greet;\nour $VERSION = "1.0.0";\nsub greeting { "hello" }\n1;\n__END__\n\n=head1 NAME\n\nGreet - greets\n\n=cut\n',
  'bin/greet': '#!/usr/bin/perl\nuse Greet;\nprint Greet::greeting(), "\\n";\n',
};
const IN_C = {
  'Makefile.PL':
    "use ExtUtils::MakeMaker;\nWriteMakefile(NAME => 'Greet', VERSION_FROM => 'lib/Greet.pm');\n",
  'lib/Greet.pm':
    'package Greet;\nour $VERSION = "1.0.0";\nrequire XSLoader;\nXSLoader::load("Greet", $VERSION);\n1;\n',
  'Greet.xs': `#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
MODULE = Greet PACKAGE = Greet
const char *
greeting()
  CODE:
    RETVAL = "hello from C";
  OUTPUT:
    RETVAL
`,
};
/** @param install options of the installation. */
const steps = (install = ''): string => `pipeline:
  - uses: perl/make
  - uses: autoconf/make
  - uses: autoconf/make-install
    with: {opts: ${install}}
  - runs: find "\${{targets.destdir}}" -name perllocal.pod -o -name .packlist | sed 's|.*/|installed |'
  - uses: perl/cleanup
`;

describe('Perl', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'perl',
      debian: ['gcc', 'libc6-dev', 'libperl-dev', 'make', 'perl'],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('a module is installed for the vendor, with its program and manual, without lists of files', async () => {
    const { files, log } = await toolchain.build(
      `${head('make')}
${steps()}  - runs: perl -I "\${{targets.destdir}}/usr/share/perl5" "\${{targets.destdir}}/usr/bin/greet"
`,
      { source: MODULE },
    );
    assert.match(log, /mood calm, extra found, CFLAGS -O1 .*-D_GNU_SOURCE/);
    assert.match(log, /^hello$/m);
    assert.deepEqual([...files.keys()].sort(), [
      'greet/usr/bin/greet',
      'greet/usr/share/man/man3/Greet.3pm',
      'greet/usr/share/perl5/Greet.pm',
    ]);
    assert.equal(files.get('greet/usr/bin/greet')?.mode, 0o555);
  });

  // Debian's Perl writes its lists only where no vendor installs.
  test('a module in C is compiled and found by Perl, and the lists of files are removed', async () => {
    const { files, log } = await toolchain.build(
      `${head('gcc', 'libc6-dev', 'libperl-dev', 'make')}
${steps('INSTALLDIRS=site')}  - runs: |
      modules="$(dirname "$(find "\${{targets.destdir}}" -name Greet.pm)")"
      perl -I "$modules" -MGreet -e 'print Greet::greeting(), "\\n"'
`,
      { source: IN_C },
    );
    assert.match(log, /^installed \.packlist$/m);
    assert.match(log, /^installed perllocal\.pod$/m);
    assert.match(log, /^hello from C$/m);
    const names = [...files.keys()];
    assert.ok(names.some((name) => /\/auto\/Greet\/Greet\.so$/.test(name)));
    assert.ok(!names.some((name) => /\.packlist$|perllocal\.pod$/.test(name)));
  });

  test('cleanup removes the lists of this package at any depth and leaves the rest', async () => {
    const { files } = await toolchain.build(
      `${head()}
pipeline:
  - runs: mkdir -p "\${{targets.destdir}}/usr" && touch "\${{targets.destdir}}/usr/.packlist"
subpackages:
  - name: sub
    pipeline:
      - runs: |
          cd "\${{targets.contextdir}}"
          mkdir -p "a b/auto/X" lib
          touch perllocal.pod "a b/auto/X/.packlist" "a b/auto/X/X.so" lib/perllocal.pod.txt
      - uses: perl/cleanup
`,
    );
    assert.deepEqual(
      [...files.keys()].sort(),
      ['sub/a b/auto/X/X.so', 'sub/lib/perllocal.pod.txt', 'greet/usr/.packlist'].sort(),
    );
  });

  test('a script that refuses or is missing ends the step', async () => {
    const text = `${head()}\npipeline: [{uses: perl/make}]\n`;
    const refused = await toolchain.fail(text, {
      source: { 'Makefile.PL': 'die "not on this system\\n";\n' },
    });
    assert.match(refused.log, /not on this system/);
    assert.match((await toolchain.fail(text)).log, /Makefile\.PL/);
  });
});

function head(...packages: readonly string[]): string {
  return `package: {name: greet, version: 1.0.0, epoch: 0}
environment:
  contents: {packages: [${['busybox-static', ...packages].join(', ')}]}
  environment: {CFLAGS: -O1}`;
}

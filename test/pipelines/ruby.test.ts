/** The Ruby pipelines with Debian's Ruby, on a gem of one file and on one with an extension in C. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

const GEMSPEC = `Gem::Specification.new do |s|
  s.name = 'greet'
  s.version = '1.0.0'
  s.summary = 'greets'
  s.authors = ['Ada']
  s.files = Dir['lib/**/*.rb'] + Dir['ext/**/*']
  s.executables = ['greet']
  s.add_dependency 'absent', '>= 1'
  s.signing_key = File.expand_path('the-key.pem')
end
`;
const GEM = {
  'greet.gemspec': GEMSPEC,
  'lib/greet.rb': 'module Greet\n  GREETING = "hello"\nend\n',
  'bin/greet': '#!/usr/bin/env ruby\nrequire "greet"\nputs Greet::GREETING\n',
};
const EXTENSION = {
  'greet.gemspec': `Gem::Specification.new do |s|
  s.name = 'greet'
  s.version = '1.0.0'
  s.summary = 'greets'
  s.authors = ['Ada']
  s.files = Dir['lib/**/*.rb'] + Dir['ext/**/*']
  s.extensions = ['ext/greet/extconf.rb']
end
`,
  'lib/greet.rb': 'require "greet/native"\n',
  'ext/greet/extconf.rb': 'require "mkmf"\nhave_header "stdio.h"\ncreate_makefile "greet/native"\n',
  'ext/greet/native.c': `#include <ruby.h>
static VALUE greeting(VALUE self) { return rb_str_new_cstr("hello from C"); }
void Init_native(void) { rb_define_module_function(rb_define_module("Greet"), "greeting", greeting, 0); }
`,
};

describe('Ruby', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'ruby',
      debian: ['ca-certificates', 'gcc', 'libc6-dev', 'make', 'ruby', 'ruby-dev'],
      own: [{ name: 'ca-certificates-bundle', depends: ['ca-certificates'] }],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('a gem is built without its signing key, installed offline without its dependencies, and cleaned', async () => {
    const { files, log } = await toolchain.build(
      `${head('ruby')}
pipeline:
  - uses: ruby/build
    with: {gem: greet}
  - uses: ruby/install
    with: {gem: greet, version: "\${{package.version}}"}
  - runs: test -e "\${{targets.destdir}}/$(ruby -e 'puts Gem.default_dir')/cache/greet-1.0.0.gem"
  - uses: ruby/clean
  - runs: |
      export GEM_PATH="\${{targets.destdir}}/$(ruby -e 'puts Gem.default_dir')"
      ruby -e 'puts Gem::Specification.find_by_name("greet").version'
`,
      { source: GEM },
    );
    assert.match(log, /Successfully built RubyGem/);
    assert.match(log, /^1\.0\.0$/m);
    assert.deepEqual([...files.keys()].map(withoutVersion).sort(), [
      'greet/usr/bin/greet',
      `greet/${DEFAULT_DIR}/gems/greet-1.0.0/bin/greet`,
      `greet/${DEFAULT_DIR}/gems/greet-1.0.0/lib/greet.rb`,
      `greet/${DEFAULT_DIR}/specifications/greet-1.0.0.gemspec`,
    ]);
    assert.equal(files.get('greet/usr/bin/greet')?.mode, 0o755);
    assert.match(files.get('greet/usr/bin/greet')?.content.toString() ?? '', /^#!.*ruby/);
  });

  test('an extension in C is compiled, and what the compilation wrote down is removed', async () => {
    const { files, log } = await toolchain.build(
      `${head('ruby', 'ruby-dev', 'coreutils', 'gcc', 'libc6-dev', 'make')}
pipeline:
  - uses: ruby/build
    with: {gem: greet}
  - uses: ruby/install
    with: {gem: greet, version: 1.0.0}
  - runs: test -n "$(find "\${{targets.destdir}}" -name gem_make.out)" -a -n "$(find "\${{targets.destdir}}" -name mkmf.log)"
  - uses: ruby/clean
  - runs: GEM_PATH="\${{targets.destdir}}/$(ruby -e 'puts Gem.default_dir')" ruby -e 'require "greet"; puts Greet.greeting'
`,
      { source: EXTENSION },
    );
    assert.match(log, /^hello from C$/m);
    const names = [...files.keys()].map(withoutVersion);
    assert.ok(names.some((name) => name.endsWith('/greet/native.so')));
    assert.deepEqual(
      names.filter((name) => /\/(gem_make\.out|mkmf\.log)$|\/(cache|build_info)\//.test(name)),
      [],
    );
  });

  test('directory, output, file and options can be chosen, and subpackages get gems too', async () => {
    const source = Object.fromEntries(Object.entries(GEM).map(([path, text]) => [`gems/a b/${path}`, text]));
    const { files } = await toolchain.build(
      `${head('ruby')}
pipeline:
  - uses: ruby/build
    with: {gem: greet, dir: gems/a b, output: other name.gem, opts: --force --silent}
subpackages:
  - name: sub
    pipeline:
      - uses: ruby/install
        with:
          dir: gems/a b
          gem-file: other name.gem
          version: 1.0.0
          opts: |
            --env-shebang \\
              --no-wrappers
      - uses: ruby/clean
`,
      { source },
    );
    const names = [...files.keys()].map(withoutVersion);
    assert.ok(names.every((name) => name.startsWith('sub/')));
    assert.ok(names.includes(`sub/${DEFAULT_DIR}/gems/greet-1.0.0/lib/greet.rb`));
    // Without a wrapper the program is a link to the gem's own file.
    assert.equal(files.get('sub/usr/bin/greet')?.type, 'symlink');
  });

  test('the name of a gem wins over that of a file', async () => {
    const { log } = await toolchain.fail(
      `${head('ruby')}
pipeline: [{uses: ruby/install, with: {gem: greet, gem-file: other.gem, version: 2.0.0}}]
`,
    );
    assert.match(log, /greet-2\.0\.0\.gem/);
    assert.doesNotMatch(log, /other\.gem/);
  });

  test('a gem without name and file, a gem without a specification, and a missing Ruby fail', async () => {
    const steps = (name: string, inputs: string): string =>
      `pipeline: [{uses: ruby/${name}, with: {${inputs}}}]\n`;
    const ruby = head('ruby');
    const nameless = await toolchain.fail(`${ruby}\n${steps('install', 'version: 1.0.0')}`);
    assert.match(nameless.log, /ruby\/install: give gem or gem-file/);
    const absent = await toolchain.fail(`${ruby}\n${steps('build', 'gem: absent')}`);
    assert.match(absent.log, /absent\.gemspec/);
    for (const [name, inputs] of [
      ['build', 'gem: greet'],
      ['install', 'gem: greet, version: 1.0.0'],
      ['clean', ''],
    ] as const) {
      const { log } = await toolchain.fail(`${head()}\n${steps(name, inputs)}`, { source: GEM });
      assert.match(log, new RegExp(`ruby/${name}: there is no ruby\\n`));
    }
  });

  test('clean has nothing to do where no gem was installed', async () => {
    const { files } = await toolchain.build(`${head('ruby')}\npipeline: [{uses: ruby/clean}]\n`);
    assert.equal(files.size, 0);
  });
});

/** Where Debian's Ruby keeps gems (`Gem.default_dir`), with its version as N. */
const DEFAULT_DIR = 'var/lib/gems/N';

function withoutVersion(path: string): string {
  return path.replace(/(var\/lib\/gems)\/[0-9.]+/, '$1/N');
}

function head(...packages: readonly string[]): string {
  return `package: {name: greet, version: 1.0.0, epoch: 0}
environment: {contents: {packages: [${['busybox-static', ...packages].join(', ')}]}}`;
}

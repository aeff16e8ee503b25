/** The pecl pipelines with Debian's PHP, on an extension with one function. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from '../toolchain.ts';

const SOURCE = {
  'config.m4': `PHP_ARG_ENABLE([greet], [whether to greet], [AS_HELP_STRING([--enable-greet], [Greet])])
if test "$PHP_GREET" != no; then
  PHP_NEW_EXTENSION(greet, greet.c, $ext_shared)
fi
`,
  'greet.c': `#include "php.h"
PHP_FUNCTION(greet) { ZEND_PARSE_PARAMETERS_NONE(); RETURN_STRING("hello from C"); }
ZEND_BEGIN_ARG_INFO(greet_arguments, 0)
ZEND_END_ARG_INFO()
static const zend_function_entry functions[] = { PHP_FE(greet, greet_arguments) PHP_FE_END };
zend_module_entry greet_module_entry = {
  STANDARD_MODULE_HEADER, "greet", functions, NULL, NULL, NULL, NULL, NULL, "1.0", STANDARD_MODULE_PROPERTIES
};
ZEND_GET_MODULE(greet)
`,
};

describe('PHP extensions', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'php',
      debian: [
        ...[
          'autoconf',
          'automake',
          'binutils',
          'findutils',
          'gawk',
          'gcc',
          'grep',
          'libc6-dev',
          'libtool',
          'make',
        ],
        ...['php8.2-cli', 'php8.2-dev', 'sed'],
      ],
      own: [
        {
          name: 'php',
          depends: ['php8.2-cli', 'php8.2-dev'],
          // Debian's phpize asks whether libtool is newer than 2.4.6.
          programs: { 'usr/bin/dpkg': '#!/bin/sh\n', 'usr/bin/dpkg-query': '#!/bin/sh\n' },
          links: {
            'usr/bin/php': 'php8.2',
            'usr/bin/phpize': 'phpize8.2',
            'usr/bin/php-config': 'php-config8.2',
            'usr/bin/other-php-config': 'php-config8.2',
          },
        },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('an extension is configured, made, installed and turned on, and PHP loads it', async () => {
    const { files, log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: pecl/phpize
  - uses: autoconf/make
  - uses: pecl/install
    with: {extension: greet}
  - runs: |
      out="$PWD/melange-out/php-greet"
      export PHP_INI_SCAN_DIR="$out/etc/php/conf.d"
      php -d extension_dir="$out$(php-config --extension-dir)" -r 'echo greet(), "\\n";'
subpackages:
  - name: php-greet-config
    pipeline:
      - uses: pecl/install
        with: {extension: greet}
`,
      { source: SOURCE },
    );
    assert.match(log, /^hello from C$/m);
    for (const name of ['php-greet', 'php-greet-config']) {
      const settings = files.get(`${name}/etc/php/conf.d/greet.ini`);
      assert.equal(settings?.content.toString(), 'extension=greet.so\n');
      assert.equal(settings.mode, 0o644);
      assert.ok(
        [...files.keys()].some((path) => new RegExp(`^${name}/usr/lib/php/\\d+/greet\\.so$`).test(path)),
      );
    }
  });

  test('the program that tells about PHP and the prefix can be chosen', async () => {
    const { log } = await toolchain.build(
      `${HEAD}
pipeline:
  - uses: pecl/phpize
    with: {php-config: /usr/bin/other-php-config, prefix: /opt/php}
  - runs: ./config.status --config
`,
      { source: SOURCE },
    );
    assert.match(log, /^'?--prefix=\/opt\/php'? '?--with-php-config=\/usr\/bin\/other-php-config'?$/m);
  });

  test('a directory that is no extension fails the step', async () => {
    const { log } = await toolchain.fail(`${HEAD}\npipeline: [{uses: pecl/phpize}]\n`);
    assert.match(log, /config\.m4/);
  });
});

const HEAD = `package: {name: php-greet, version: 1.0.0}
environment: {contents: {packages: [build-base, php]}}`;

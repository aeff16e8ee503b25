/** What the pecl pipelines ask; that they build extensions is tested in test/pipelines/large/php.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localRun, OUT, succeeds } from './local-run.ts';

test('pecl/phpize prepares the extension and runs the configure script that comes of it', (context) => {
  const root = localRun(context);
  root.tool('phpize', 'record "$@"\ncp "$(command -v configure)" configure');
  root.tool('configure', 'record "$@"');
  succeeds(root.run([{ uses: 'pecl/phpize' }]));
  succeeds(root.run([{ uses: 'pecl/phpize', with: { 'php-config': 'php-config8', prefix: '/opt/php' } }]));
  assert.deepEqual(root.asked(), [
    "phpize: ''",
    'configure: --prefix=/usr --with-php-config=php-config',
    "phpize: ''",
    'configure: --prefix=/opt/php --with-php-config=php-config8',
  ]);
});

test('pecl/install installs into the output directory and turns the extension on', (context) => {
  const root = localRun(context);
  root.tool('make', 'record "$@"');
  succeeds(root.run([{ uses: 'pecl/install', with: { extension: 'greet' } }]));
  assert.deepEqual(root.asked(), [`make: INSTALL_ROOT=/home/build/${OUT} install`]);
  assert.equal(root.read(`${OUT}/etc/php/conf.d/greet.ini`), 'extension=greet.so\n');
});

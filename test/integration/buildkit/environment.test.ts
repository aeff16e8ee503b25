import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startToolchain, type Toolchain } from '../../pipelines/toolchain.ts';
import { skipReason } from './real-buildkit.ts';

/** Prints the first word of what it is about, then what it finds. */
const LOOK = `package: {name: look, version: 1}
environment:
  contents: {packages: [PACKAGES]}
  accounts:
    groups: [{groupname: crew, gid: 1234, members: [mate]}]
    users: [{username: mate, uid: 1234, gid: 1234, homedir: /home/mate}]
pipeline:
  - runs: |
      for path in /usr/bin/vi /usr/bin/dpkg /usr/sbin/init /usr/bin/odd /opt/tools/vi; do
        if [ -h "$path" ]; then echo "link $path $(readlink "$path")"; elif [ -e "$path" ]; then echo "file $path"; fi
      done
      grep -E '^(build|mate):' /etc/passwd
      grep -E '^(build|crew):' /etc/group
      stat -c 'home %a %u %g %n' /home/mate
      stat -c 'tmp %a' /tmp
      cat /etc/apk/world | sed 's/^/world /'
`;

describe('an environment made in BuildKit', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  /** What an environment with Debian's own busybox shows; asked once, since a cached step prints nothing. */
  let plain: readonly string[];
  before(async () => {
    toolchain = await startToolchain({
      name: 'environment',
      debian: ['grep', 'sed'],
      own: [
        {
          name: 'other-busybox',
          depends: ['busybox-static'],
          provides: ['busybox'],
          programs: { 'etc/busybox-paths.d/other-busybox': '/opt/tools/vi\n/usr/bin/odd\n' },
        },
      ],
    });
    plain = await look('busybox-static, coreutils, grep, sed');
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  const look = async (packages: string): Promise<string[]> => {
    const { log } = await toolchain.build(LOOK.replace('PACKAGES', packages));
    return log.split('\n');
  };

  test('has the links that its busybox lists, and no others', () => {
    assert.ok(plain.includes('link /usr/bin/vi /bin/busybox'), plain.join('\n'));
    assert.deepEqual(
      plain.filter((line) => /dpkg|init|odd/.test(line)),
      [],
    );
  });

  test('takes the list of the last package that provides busybox, where none has its name', async () => {
    const lines = await look('other-busybox, coreutils, grep, sed');
    assert.deepEqual(
      lines.filter((line) => line.startsWith('link')),
      ['link /usr/bin/odd /bin/busybox', 'link /opt/tools/vi /bin/busybox'],
    );
  });

  test('has the accounts of the build file and the build user, their homes, and what was asked for', () => {
    assert.ok(plain.some((line) => /^mate:x:1234:1234:.*:\/home\/mate:\/bin\/sh$/.test(line)));
    assert.ok(plain.some((line) => /^build:x:1000:1000:.*:\/home\/build:\/bin\/sh$/.test(line)));
    for (const line of [
      'crew:x:1234:mate',
      'build:x:1000:build',
      'home 700 1234 1234 /home/mate',
      'tmp 1777',
    ]) {
      assert.ok(plain.includes(line), line);
    }
    assert.deepEqual(
      plain.filter((line) => line.startsWith('world')),
      ['world busybox-static', 'world coreutils', 'world grep', 'world sed'],
    );
  });
});

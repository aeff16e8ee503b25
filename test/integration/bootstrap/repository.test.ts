import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { localSigningKey } from '../../../deploy/local/bootstrap/local-key.ts';
import {
  type BootstrapRepository,
  prepareBootstrapRepository,
} from '../../../deploy/local/bootstrap/repository.ts';
import { openDebianArchive } from '../../../deploy/local/debian.ts';
import { loadPublicKey, type SigningKey } from '../../../shared/apk/keys.ts';
import { type IndexEntry, readIndexArchive } from '../../../shared/apk/package-index.ts';
import { readPackage, verifyPackage } from '../../../shared/apk/package-read.ts';
import { PipelineError } from '../../../shared/errors.ts';

const cache = fileURLToPath(new URL('../../../.carryall/', import.meta.url));
const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
const isRoot = process.getuid?.() === 0;

/** Runs `$1` in the folder `$0`, with the `/proc` that steps have. The mount ends with its name space. */
const IN_ROOT = 'mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sh -c "$1"';

/** What the built-in pipelines name in their `needs`, as far as a C toolchain goes. */
const PIPELINE_NEEDS = [
  'autoconf',
  'automake',
  'binutils',
  'build-base',
  'busybox',
  'ca-certificates-bundle',
  'git',
  'libtool',
  'make',
  'patch',
  'pkgconf',
  'scanelf',
  'tar',
  'wget',
];

describe('the bootstrap repository', { skip: !isDebian && 'this is no Debian machine' }, () => {
  let key: SigningKey;
  let repository: BootstrapRepository;
  let entries: IndexEntry[] = [];
  const debianFolder = join(cache, 'debian', 'machine');

  const keys = () => {
    const pem = readFileSync(repository.publicKeyPath);
    return new Map([['bootstrap.rsa.pub', loadPublicKey(pem, 'bootstrap.rsa.pub')]]);
  };
  const apkPath = (entry: IndexEntry): string =>
    join(repository.folder, repository.arch, `${entry.name}-${entry.version}.apk`);
  const indexPath = (): string => join(repository.folder, repository.arch, 'APKINDEX.tar.gz');

  before(async () => {
    key = await localSigningKey(join(cache, 'keys'), 'bootstrap.rsa');
    repository = await prepareBootstrapRepository({ folder: join(cache, 'bootstrap'), debianFolder, key });
    entries = (await readIndexArchive(readFileSync(indexPath()), keys())).entries;
  });

  test('the index is signed and lists exactly the packages that are there', () => {
    const files = readdirSync(join(repository.folder, repository.arch)).filter((name) =>
      name.endsWith('.apk'),
    );
    assert.deepEqual(files.sort(), entries.map((entry) => `${entry.name}-${entry.version}.apk`).sort());
    assert.equal(entries.length, repository.packages);
    assert.ok(entries.length > 100);
  });

  test('every package verifies, and no two packages put different things at one path', async () => {
    const owners = new Map<string, { owner: string; what: string }>();
    for (const entry of entries) {
      const verified = await verifyPackage({
        source: createReadStream(apkPath(entry)),
        keys: keys(),
        expectedControlChecksum: entry.controlChecksum ?? '',
      });
      assert.equal(verified.signedBy, 'bootstrap.rsa.pub');
      assert.equal(verified.size, entry.size);
      const reading = await readPackage(createReadStream(apkPath(entry)));
      for await (const file of reading.entries) {
        assert.doesNotMatch(
          file.name,
          /^(bin|sbin|lib|lib32|lib64|libx32)\//,
          `${entry.name} has a path outside usr`,
        );
        if (file.type === 'directory') continue;
        const what = file.pax.get('APK-TOOLS.checksum.SHA1')?.toString() ?? file.type;
        const other = owners.get(file.name);
        assert.ok(
          other === undefined || other.what === what,
          `${file.name} is in ${other?.owner} and ${entry.name}`,
        );
        owners.set(file.name, { owner: entry.name, what });
      }
    }
    for (const path of [
      'usr/bin/cc',
      'usr/bin/awk',
      'usr/bin/automake',
      'usr/bin/sh',
      'etc/ssl/certs/ca-certificates.crt',
    ]) {
      assert.ok(owners.has(path), path);
    }
  });

  test('every dependency, and every name the built-in pipelines ask for, is in the repository', () => {
    const offered = new Set(entries.flatMap((entry) => [entry.name, ...entry.provides]));
    for (const entry of entries)
      for (const name of entry.depends) assert.ok(offered.has(name), `${entry.name} needs ${name}`);
    for (const name of PIPELINE_NEEDS) assert.ok(offered.has(name), name);
    for (const entry of entries)
      assert.ok(!entry.provides.includes(entry.name), `${entry.name} provides itself`);
  });

  test('openssl verifies the signatures of the index and of a package', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bootstrap-'));
    try {
      const hello = entries.find((entry) => entry.name === 'sed');
      assert.ok(hello);
      for (const path of [apkPath(hello), indexPath()]) {
        const bytes = readFileSync(path);
        // GNU gzip cannot say where a member ends: the next one begins with our fixed header.
        const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        const second = bytes.indexOf(header, 10);
        const third = bytes.indexOf(header, second + 10);
        writeFileSync(join(folder, 'signature'), bytes.subarray(0, second));
        writeFileSync(join(folder, 'signed'), bytes.subarray(second, third === -1 ? bytes.length : third));
        execFileSync('tar', ['-xzf', 'signature'], { cwd: folder, stdio: 'pipe' });
        const args = [
          'dgst',
          '-sha256',
          '-verify',
          repository.publicKeyPath,
          '-signature',
          '.SIGN.RSA256.bootstrap.rsa.pub',
          'signed',
        ];
        assert.match(execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' }), /Verified OK/);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a second run makes nothing, and a damaged or missing package is made again with the same bytes', async (context) => {
    const started = performance.now();
    const again = await prepareBootstrapRepository({ folder: repository.folder, debianFolder, key });
    assert.equal(again.made, 0);
    context.diagnostic(
      `${again.packages} packages, ${again.apkBytes} bytes; cached run ${(performance.now() - started).toFixed(0)} ms`,
    );
    const [first, second] = entries.filter((entry) => entry.name === 'sed' || entry.name === 'grep');
    assert.ok(first && second);
    const original = readFileSync(apkPath(first));
    truncateSync(apkPath(first), 100);
    rmSync(apkPath(second));
    writeFileSync(join(repository.folder, repository.arch, 'left.apk.part'), 'x');
    const repaired = await prepareBootstrapRepository({ folder: repository.folder, debianFolder, key });
    assert.equal(repaired.made, 2);
    assert.ok(readFileSync(apkPath(first)).equals(original));
    assert.ok(existsSync(apkPath(second)));
    assert.ok(!existsSync(join(repository.folder, repository.arch, 'left.apk.part')));
  });

  test('a run that is cancelled leaves whole packages only, and the next one goes on from there', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'bootstrap-'));
    try {
      const options = { folder, debianFolder, key, names: ['bash', 'sed', 'make'] };
      const abort = new AbortController();
      await assert.rejects(
        prepareBootstrapRepository({
          ...options,
          signal: abort.signal,
          onProgress: ({ done }) => {
            if (done === 4) abort.abort();
          },
        }),
        (thrown) => thrown instanceof PipelineError && thrown.code === 'cancelled',
      );
      const archFolder = join(folder, repository.arch);
      const whole = readdirSync(archFolder);
      assert.ok(whole.length >= 4 && whole.every((name) => name.endsWith('.apk')), whole.join(' '));
      for (const name of whole)
        await verifyPackage({ source: createReadStream(join(archFolder, name)), keys: keys() });
      const started = performance.now();
      const [finished, beside] = await Promise.all([
        prepareBootstrapRepository(options),
        prepareBootstrapRepository(options),
      ]);
      assert.equal(finished.packages, beside.packages);
      assert.equal(finished.made + beside.made, finished.packages - whole.length);
      context.diagnostic(
        `went on with ${whole.length} of ${finished.packages} in ${(performance.now() - started).toFixed(0)} ms`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  describe('an environment unpacked from it', { skip: !isRoot && 'chroot needs root' }, () => {
    let root = '';

    before(() => {
      root = mkdtempSync(join(tmpdir(), 'bootstrap-root-'));
      install(
        [
          'build-base',
          'busybox',
          'wget',
          'ca-certificates-bundle',
          'autoconf',
          'automake',
          'libtool',
          'pkgconf',
        ],
        root,
      );
    });
    after(() => rmSync(root, { recursive: true }));

    /** The packages for these names with all they need, each after what it needs. */
    const closure = (names: readonly string[]): IndexEntry[] => {
      const chosen = new Map<string, IndexEntry>();
      const add = (name: string): void => {
        const entry =
          entries.find((one) => one.name === name) ?? entries.find((one) => one.provides.includes(name));
        assert.ok(entry, name);
        if (chosen.has(entry.name)) return;
        chosen.set(entry.name, entry);
        entry.depends.forEach(add);
        chosen.delete(entry.name);
        chosen.set(entry.name, entry);
      };
      names.forEach(add);
      return [...chosen.values()];
    };

    /** Unpacks with GNU tar, then does what the environment builder does: busybox's links, devices, the loader's cache. */
    const install = (names: readonly string[], into: string): void => {
      const chosen = closure(names);
      const base = chosen.filter((entry) => entry.name === 'bootstrap-base');
      for (const entry of [...base, ...chosen]) {
        const args = [
          '--keep-directory-symlink',
          '--warning=no-unknown-keyword',
          '--exclude=.SIGN.*',
          '--exclude=.PKGINFO',
        ];
        execFileSync('tar', ['-xzf', apkPath(entry), '-C', into, ...args], { stdio: 'pipe' });
      }
      const paths = readFileSync(join(into, 'etc/busybox-paths.d/busybox-static'), 'utf8').trim().split('\n');
      for (const path of paths) {
        const place = join(into, path);
        if (lstatSync(place, { throwIfNoEntry: false }) !== undefined) continue;
        mkdirSync(dirname(place), { recursive: true });
        symlinkSync('/bin/busybox', place);
      }
      for (const [name, minor] of [
        ['null', '3'],
        ['zero', '5'],
        ['urandom', '9'],
      ] as const) {
        execFileSync('mknod', ['-m', '666', join(into, 'dev', name), 'c', '1', minor]);
      }
      execFileSync('chroot', [into, '/sbin/ldconfig']);
    };

    const step = (script: string): string =>
      execFileSync('unshare', ['--mount', 'sh', '-c', IN_ROOT, root, `set -e -o pipefail\n${script}`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        maxBuffer: 1e8,
        env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/home/build' },
      });

    test('has the links, shells and tools a build expects', () => {
      assert.equal(step('readlink /bin; readlink /lib64'), 'usr/bin\nusr/lib64\n');
      assert.equal(step('echo a b | awk "{print \\$2}"').trim(), 'b');
      for (const tool of ['wget', 'sed', 'tar', 'ls', 'grep']) assert.match(step(`${tool} --version`), /GNU/);
      assert.match(step('cc --version | head -n 1'), /gcc|cc/i);
      assert.match(
        step('automake --version | head -n 1; aclocal --version | head -n 1; pkg-config --version'),
        /automake.*\naclocal/,
      );
      assert.equal(
        step('id -un; grep -c BEGIN /etc/ssl/certs/ca-certificates.crt | grep -q ... && echo many'),
        'root\nmany\n',
      );
      assert.throws(() => step('false | true'), 'pipefail is in force');
      assert.equal(readlinkSync(join(root, 'usr/bin/sh')), 'bash');
      assert.equal(step('bash -c "set -o pipefail; echo ok"'), 'ok\n');
    });

    test('configures, builds, installs and runs GNU hello', { timeout: 300_000 }, async (context) => {
      const archive = await openDebianArchive({ folder: debianFolder });
      const files = await archive.downloadSource('hello', join(cache, 'src'));
      const tarball = files.find((file) => /\.orig\.tar\.\w+$/.test(file));
      assert.ok(tarball);
      if (tarball.includes('hello_2.10.')) {
        assert.match(execFileSync('sha256sum', [tarball], { encoding: 'utf8' }), /^31e06613/);
      }
      const home = join(root, 'home/build');
      mkdirSync(home, { recursive: true });
      execFileSync('tar', ['-xf', tarball, '--strip-components=1', '--no-same-owner', '-C', home]);
      const started = performance.now();
      step(`cd /home/build
./configure --prefix=/usr
make
make install DESTDIR=/home/build/melange-out/hello`);
      context.diagnostic(
        `configure, make and make install took ${((performance.now() - started) / 1000).toFixed(1)} s`,
      );
      assert.equal(step('/home/build/melange-out/hello/usr/bin/hello'), 'Hello, world!\n');
      assert.ok(statSync(join(home, 'melange-out/hello/usr/share/man/man1/hello.1')).size > 0);
    });
  });
});

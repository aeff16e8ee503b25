/** The Maven pipelines. pombump and mvn, which Debian lacks or which are large, are stand-ins that write down their arguments. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skipReason, startToolchain, type Toolchain } from './toolchain.ts';

/** Like pombump: the changed file goes to the standard output. */
const POMBUMP = `#!/bin/sh
printf '<%s>' "$@" > "/home/build/melange-out/thing/pombump"
sed 's/1\\.0/2.0/' "$1"
`;
const POM = '<project>\n  <version>1.0</version>\n</project>\n';

describe('Maven', { skip: skipReason }, () => {
  let toolchain: Toolchain;
  before(async () => {
    toolchain = await startToolchain({
      name: 'maven',
      debian: ['busybox-static'],
      own: [
        { name: 'pombump', programs: { 'usr/bin/pombump': POMBUMP } },
        {
          name: 'refusing-pombump',
          programs: { 'usr/local/bin/pombump': '#!/bin/sh\necho "no such pom" >&2\nexit 3\n' },
        },
        { name: 'maven', programs: { 'usr/bin/mvn': '#!/bin/sh\necho "mvn in $PWD: $*"\n' } },
      ],
    });
  });
  after(() => toolchain?.[Symbol.asyncDispose]());

  test('configure-mirror: Maven gets a mirror of the central repository', async () => {
    const { files } = await toolchain.build(
      build(
        '  - uses: maven/configure-mirror\n  - runs: cp /root/.m2/settings.xml "${{targets.destdir}}/"\n',
      ),
    );
    const settings = files.get('thing/settings.xml')?.content.toString() ?? '';
    assert.match(settings, /^<\?xml version="1\.0"/);
    assert.equal(settings.match(/<mirror>/g)?.length, 1);
    assert.match(settings, /<id>google-maven-central<\/id>/);
    assert.match(settings, /<url>https:\/\/maven-central\.[a-z.-]+\/maven2\/<\/url>/);
    assert.match(settings, /<mirrorOf>central<\/mirrorOf>/);
  });

  for (const name of ['configure-mirror', 'pombump']) {
    test(`${name}: with a cache directory, both homes keep their repository in it`, async () => {
      const { files } = await toolchain.build(
        build(
          `${CACHE}  - uses: maven/${name}\n${RECORD_LINKS}  - uses: maven/${name}\n${RECORD_LINKS}`,
          '/home/other',
        ),
        { source: { 'pom.xml': POM } },
      );
      const two = ['/root/.m2', '/home/other/.m2']
        .map((folder) => `${folder}: /var/cache/melange/m2repository\n`)
        .join('');
      assert.equal(
        files.get('thing/links')?.content.toString(),
        `${two}into the cache\n${two}into the cache\n`,
      );
    });

    test(`${name}: a repository that is there already stays, and without a cache none is made`, async () => {
      const kept = `${CACHE}  - runs: mkdir -p /root/.m2/repository && touch /root/.m2/repository/kept
  - uses: maven/${name}
  - runs: test -e /root/.m2/repository/kept && test ! -L /root/.m2/repository\n`;
      await toolchain.build(build(kept), { source: { 'pom.xml': POM } });
      const without = `  - runs: rmdir /var/cache/melange 2>/dev/null || test ! -e /var/cache/melange
  - uses: maven/${name}
  - runs: test ! -e /root/.m2/repository && test ! -L /root/.m2/repository\n`;
      await toolchain.build(build(without), { source: { 'pom.xml': POM } });
    });
  }

  test('pombump: by default only the file is named, and it is replaced', async () => {
    const { files, log } = await toolchain.build(build(`  - uses: maven/pombump\n${KEEP_POM}`), {
      source: { 'pom.xml': POM },
    });
    assert.equal(text(files, 'thing/pombump'), '<pom.xml>');
    assert.equal(text(files, 'thing/pom.xml'), POM.replace('1.0', '2.0'));
    assert.doesNotMatch(log, /mvn in|^\+ /m);
  });

  test('pombump: files that exist and inputs that are given become options', async () => {
    const { files } = await toolchain.build(
      build(`  - uses: maven/pombump
    with:
      dependencies: |
        a.b@c@1.0 d@e@2.0
      properties: x.version@3 y@4
${KEEP_POM}`),
      { source: { 'pom.xml': POM, 'pombump-deps.yaml': 'a', 'pombump-properties.yaml': 'b' } },
    );
    assert.equal(
      text(files, 'thing/pombump'),
      '<pom.xml><--patch-file><./pombump-deps.yaml><--properties-file><./pombump-properties.yaml>' +
        '<--dependencies><a.b@c@1.0 d@e@2.0><--properties><x.version@3 y@4>',
    );
  });

  test('pombump: other files, the tree of dependencies and the difference can be asked for', async () => {
    const { files, log } = await toolchain.build(
      build(`  - uses: maven/pombump
    with:
      patch-file: my patches.yaml
      properties-file: absent.yaml
      pom: deep dir/pom.xml
      debug: true
      show-dependency-tree: true
  - runs: mv "deep dir/pom.xml" pom.xml && test ! -e "deep dir/pom.xml.new"
${KEEP_POM}`),
      { source: { 'deep dir/pom.xml': POM, 'my patches.yaml': 'a', 'pombump-deps.yaml': 'unused' } },
    );
    assert.equal(text(files, 'thing/pombump'), '<deep dir/pom.xml><--patch-file><my patches.yaml>');
    assert.equal(text(files, 'thing/pom.xml'), POM.replace('1.0', '2.0'));
    assert.match(log, /^mvn in \/home\/build: dependency:tree$/m);
    assert.match(log, /^-\s+<version>1\.0<\/version>$/m);
    assert.match(log, /^\+\s+<version>2\.0<\/version>$/m);
  });

  test('pombump: its failure is the failure of the step', async () => {
    const { log } = await toolchain.fail(build('  - uses: maven/pombump\n', '/root', 'refusing-pombump'), {
      source: { 'pom.xml': POM },
    });
    assert.match(log, /no such pom/);
  });
});

const CACHE = '  - runs: mkdir -p /var/cache/melange\n';
const KEEP_POM = '  - runs: cp pom.xml "${{targets.destdir}}/"\n';

/** Where the two repositories are, and what a file in one of them is in the cache. */
const RECORD_LINKS = `  - runs: |
      for folder in /root/.m2 /home/other/.m2; do
        echo "$folder: $(readlink "$folder/repository")"
      done >> "\${{targets.destdir}}/links"
      echo "into the cache" > /root/.m2/repository/file
      cat /var/cache/melange/m2repository/file >> "\${{targets.destdir}}/links"
`;

function build(steps: string, home = '/root', ...packages: readonly string[]): string {
  return `package: {name: thing, version: 1.0.0, epoch: 0}
environment:
  contents: {packages: [${['busybox-static', 'maven', ...packages].join(', ')}]}
  environment: {HOME: ${home}}
pipeline:
${steps}`;
}

function text(files: ReadonlyMap<string, { readonly content: Buffer }>, path: string): string {
  return files.get(path)?.content.toString() ?? assert.fail(`no ${path}`);
}

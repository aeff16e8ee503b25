import assert from 'node:assert/strict';
import { test } from 'node:test';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse } from '../../../../runner/environment/universe.ts';
import { indexOf, pkg, refusal, refuses, solved } from './small-universe.ts';

test('a constraint on the version keeps what satisfies it, by its own version or by the provided one', () => {
  const indexes = indexOf(
    pkg('bar-1.0'),
    pkg('bar-2.0'),
    pkg('bar-3.0'),
    pkg('alt-9', { provides: ['bar=2.5'] }),
  );
  assert.equal(solved(indexes, 'bar'), 'bar-3.0');
  assert.equal(solved(indexes, 'bar<3'), 'alt-9');
  assert.equal(solved(indexes, 'bar<2.5'), 'bar-2.0');
  assert.equal(solved(indexes, 'bar~1'), 'bar-1.0');
  assert.equal(solved(indexes, 'bar=~2.5'), 'alt-9');
  assert.equal(solved(indexes, 'bar==1.0'), 'bar-3.0');
  refuses(
    indexes,
    ['bar>4'],
    'the package list asks for bar>4, but bar-1.0, bar-2.0, bar-3.0, alt-9 cannot be used (wrong version)',
  );
});

test('plain versions of shared objects sort below those with a release', () => {
  const indexes = indexOf(
    pkg('old-1', { provides: ['so:z.so=9'] }),
    pkg('new-1', { provides: ['so:z.so=1.2-r0'] }),
  );
  assert.equal(solved(indexes, 'so:z.so'), 'new-1');
  assert.equal(solved(indexes, 'so:z.so=9'), 'old-1');
});

test('a provide without a version meets no constraint with one', () => {
  refuses(
    indexOf(pkg('a-1', { provides: ['virt'] })),
    ['virt>=2'],
    'the package list asks for virt>=2, but a-1 cannot be used (wrong version)',
  );
});

test('a version match under another name does not make a package fit', () => {
  const indexes = indexOf(
    pkg('a-5', { provides: ['lib=1', 'other=5'] }),
    pkg('b-1', { provides: ['lib=4'] }),
  );
  assert.equal(solved(indexes, 'lib>=4'), 'b-1');
  assert.equal(solved(indexOf(pkg('a-5', { provides: ['virt'] })), 'virt>=2'), 'a-5', 'as in apko');
});

test('packages of a tagged repository are used only where the tag is asked for, and for the needs of such', () => {
  const indexes = buildUniverse([
    {
      repository: 'https://stable.test',
      entries: [pkg('foo-1'), pkg('lib-1'), pkg('user-1', { depends: ['foo@edge'] })],
    },
    {
      repository: 'https://edge.test',
      pin: 'edge',
      entries: [pkg('foo-2', { depends: ['lib', 'extra'] }), pkg('lib-2'), pkg('extra-2')],
    },
  ]);
  assert.equal(solved(indexes, 'foo'), 'foo-1');
  assert.equal(solved(indexes, 'foo@edge'), 'extra-2 lib-2 foo-2');
  assert.equal(solved(indexes, 'lib', 'foo@edge'), 'extra-2 lib-1 foo-2', 'what was chosen stays');
  assert.equal(solved(indexes, 'user'), 'foo-1 user-1', 'a tag in a dependency is ignored');
  refuses(
    indexes,
    ['extra'],
    'the package list asks for extra, but extra-2 cannot be used (only in the repository tagged @edge)',
  );
});

test('what is asked for with a tag comes from there before higher versions elsewhere', () => {
  const indexes = buildUniverse([
    { repository: 'a', entries: [pkg('foo-3')] },
    { repository: 'b', pin: 'edge', entries: [pkg('foo-2')] },
  ]);
  assert.equal(solved(indexes, 'foo@edge'), 'foo-2');
});

test('a tagged package that is chosen already serves others too', () => {
  const indexes = buildUniverse([
    { repository: 'a', entries: [pkg('foo-1'), pkg('user-1', { depends: ['foo'] })] },
    { repository: 'b', pin: 'edge', entries: [pkg('foo-2')] },
  ]);
  assert.equal(solved(indexes, 'foo@edge', 'user'), 'foo-2 user-1');
});

test('a long list of useless candidates is cut short', () => {
  const many = Array.from({ length: 30 }, (_, at) => pkg(`bar-${at}`));
  assert.match(
    refusal(indexOf(...many), 'bar>99').message,
    /bar-3 and 26 more cannot be used \(wrong version\)$/,
  );
});

test('between candidates the first rule that tells them apart decides', async (t) => {
  const user = pkg('user-1', { depends: ['virt'] });
  await t.test('the version that is chosen already', () => {
    const indexes = indexOf(user, pkg('a-1', { provides: ['virt'] }), pkg('b-9', { provides: ['virt'] }));
    assert.equal(solved(indexes, 'user'), 'b-9 user-1');
    assert.equal(solved(indexes, 'user', 'a'), 'a-1 user-1');
  });
  await t.test('then the origin and version of what is chosen already', () => {
    const indexes = indexOf(
      user,
      pkg('db-1', { origin: 'db' }),
      pkg('a-1', { origin: 'db', provides: ['virt'] }),
      pkg('b-2', { origin: 'db', provides: ['virt'] }),
      pkg('c-1', { origin: 'other', provides: ['virt'] }),
    );
    assert.equal(solved(indexes, 'user'), 'b-2 user-1');
    assert.equal(solved(indexes, 'user', 'db'), 'db-1 a-1 user-1');
  });
  await t.test('then the higher version under the name asked for, before the priority', () => {
    const indexes = indexOf(
      pkg('a-9', { provides: ['v=1'], providerPriority: 100 }),
      pkg('b-1', { provides: ['v=2'] }),
    );
    assert.equal(solved(indexes, 'v'), 'b-1');
  });
  await t.test('then, for one package, the higher version, before the priority', () => {
    const indexes = indexOf(
      pkg('a-1', { provides: ['virt'], providerPriority: 100 }),
      pkg('a-2', { provides: ['virt'], providerPriority: 1 }),
    );
    assert.equal(solved(indexes, 'virt'), 'a-2');
  });
  await t.test('then the higher priority, which is 0 where none is given', () => {
    const indexes = indexOf(
      pkg('py312-9', { provides: ['py3'], providerPriority: 312 }),
      pkg('py313-1', { provides: ['py3'], providerPriority: 313 }),
      pkg('py399-99', { provides: ['py3'] }),
    );
    assert.equal(solved(indexes, 'py3'), 'py313-1');
    const equal = indexOf(
      pkg('a-9', { provides: ['v=1'], providerPriority: 1 }),
      pkg('b-1', { provides: ['v=1-r0'], providerPriority: 2 }),
    );
    assert.equal(solved(equal, 'v'), 'b-1', 'equal versions of the name leave it to the priority');
  });
  await t.test('then the higher version of the package, then its name', () => {
    const indexes = indexOf(
      pkg('b-2', { provides: ['virt'] }),
      pkg('a-2', { provides: ['virt'] }),
      pkg('c-1', { provides: ['virt'] }),
    );
    assert.equal(solved(indexes, 'virt'), 'a-2');
  });
  await t.test('a version outside the grammar is below all others', () => {
    assert.equal(solved(indexOf(pkg('a-1.0p1'), pkg('a-0.1'), pkg('a-2.x')), 'a'), 'a-0.1');
    assert.equal(solved(indexOf(pkg('a-1.0p1'), pkg('a-0.1')), 'a=1.0p1'), 'a-1.0p1');
  });
});

test('the higher version wins whatever the repository, and the earlier repository where all is equal', () => {
  const sources = [
    { repository: './packages', entries: [pkg('foo-1'), pkg('bar-2')] },
    { repository: 'https://repo.test', entries: [pkg('foo-1'), pkg('bar-1'), pkg('baz-1')] },
  ];
  const { packages } = solve({ world: ['foo', 'bar', 'baz'], indexes: buildUniverse(sources) });
  const from = packages.map(({ entry, repository }) => `${entry.name}-${entry.version} ${repository}`);
  assert.deepEqual(from, ['bar-2 ./packages', 'baz-1 https://repo.test', 'foo-1 ./packages']);
});

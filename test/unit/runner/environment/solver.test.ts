import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse, type Universe } from '../../../../runner/environment/universe.ts';
import { indexOf, pkg, refusal, refuses, solved } from './small-universe.ts';

test('dependencies come before dependents, and the first mention decides a place', () => {
  const indexes = indexOf(
    pkg('app-1', { depends: ['lib', 'tool'] }),
    pkg('lib-1', { depends: ['base'] }),
    pkg('tool-1', { depends: ['base', 'lib'] }),
    pkg('base-1'),
    pkg('zed-1', { depends: ['tool'] }),
  );
  assert.equal(solved(indexes, 'zed', 'app'), 'base-1 lib-1 tool-1 app-1 zed-1');
  assert.equal(solved(indexes, 'app', 'app', 'zed'), 'base-1 lib-1 tool-1 app-1 zed-1');
  assert.equal(solved(indexes), '');
});

test('a package is found by its own name and by each name it provides', () => {
  const indexes = indexOf(pkg('musl-1', { provides: ['so:libc.so=1', 'cmd:ldd=1.2', 'libc', '!odd'] }));
  for (const name of ['musl', 'so:libc.so', 'cmd:ldd', 'cmd:ldd>1', 'libc'])
    assert.equal(solved(indexes, name), 'musl-1');
  refuses(indexes, ['odd'], 'the package list asks for odd, but nothing provides odd');
});

test('the list is settled as a whole before any package is expanded', () => {
  const indexes = indexOf(pkg('a-1', { depends: ['bar'] }), pkg('bar-1'), pkg('bar-2'));
  assert.equal(solved(indexes, 'a', 'bar<2'), 'bar-1 a-1');
  assert.equal(solved(indexes, 'a', 'bar'), 'bar-2 a-1');
  assert.equal(solved(indexes, 'a', '!bar>=2'), 'bar-1 a-1');
});

test('the entry with the fewest candidates chooses first', () => {
  const indexes = indexOf(
    pkg('x-9', { provides: ['any=9', 'mark=1'] }),
    pkg('w-1', { provides: ['any=1'] }),
    pkg('only-1', { provides: ['mark=2'] }),
  );
  assert.equal(solved(indexes, 'any', 'only'), 'w-1 only-1');
});

test('the owner of a versioned name stands alone, a virtual name is shared', () => {
  const owners = indexOf(pkg('a-1', { provides: ['v=1'] }), pkg('b-1', { provides: ['v=1'] }));
  refuses(owners, ['a', 'b'], 'the package list asks for b, but b-1 cannot be used (a-1 already provides v)');
  const mixed = indexOf(pkg('a-1', { provides: ['v'] }), pkg('b-1', { provides: ['v=1'] }));
  refuses(mixed, ['a', 'b'], 'the package list asks for b, but b-1 cannot be used (a-1 already provides v)');
  const named = indexOf(pkg('a-1', { provides: ['b'] }), pkg('b-1'));
  assert.equal(solved(named, 'a', 'b'), 'a-1', 'the one that provides the other stands for it');
  const virtual = indexOf(pkg('a-1', { provides: ['v'] }), pkg('b-1', { provides: ['v'] }));
  assert.equal(solved(virtual, 'a', 'b'), 'a-1 b-1');
});

test('needs of one package rule out versions for all, and the error says who asks for what', () => {
  const indexes = indexOf(
    pkg('baz-1', { depends: ['bar>=2'] }),
    pkg('foo-1', { depends: ['bar<2'] }),
    pkg('bar-1'),
    pkg('bar-2'),
  );
  refuses(
    indexes,
    ['foo', 'baz'],
    'the package list asks for foo, foo-1 needs bar<2, ' +
      'but bar-1 cannot be used (baz-1 needs bar>=2); bar-2 cannot be used (wrong version)',
  );
});

test('the error of a need deep down has the whole chain', () => {
  const indexes = indexOf(pkg('a-1', { depends: ['b'] }), pkg('b-1', { depends: ['c>1'] }), pkg('c-1'));
  refuses(
    indexes,
    ['a'],
    'the package list asks for a, a-1 needs b, b-1 needs c>1, but c-1 cannot be used (wrong version)',
  );
  const error = refusal(indexOf(pkg('a-1', { depends: ['ghost'] })), 'a');
  assert.match(error.message, /a-1 needs ghost, but nothing provides ghost$/);
  assert.equal(error.hint, 'check the name ghost, or add the repository that has it');
});

test('cycles are installed like anything else', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['b'] }),
    pkg('b-1', { depends: ['c', 'a'] }),
    pkg('c-1', { depends: ['a>=1', 'b'] }),
    pkg('self-1', { depends: ['self', 'self>=1'] }),
  );
  assert.equal(solved(indexes, 'a'), 'c-1 b-1 a-1');
  assert.equal(solved(indexes, 'c'), 'b-1 a-1 c-1');
  assert.equal(solved(indexes, 'self'), 'self-1');
});

test('what a package provides itself is nothing it needs', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['so:a.so', 'v=2'], provides: ['so:a.so=1', 'v=2'] }),
    pkg('z-1', { provides: ['v=2'] }),
  );
  assert.equal(solved(indexes, 'a'), 'a-1');
});

test('the dependency with the fewest candidates is taken up first, then by alphabet', () => {
  const indexes = indexOf(
    pkg('app-1', { depends: ['any', 'z', 'm'] }),
    pkg('x-1', { provides: ['any=2', 'mark=2'] }),
    pkg('w-1', { provides: ['any=1'] }),
    pkg('z-1', { provides: ['mark=1'] }),
    pkg('m-1'),
  );
  assert.equal(solved(indexes, 'app'), 'm-1 z-1 w-1 app-1');
});

test('a package selected under a name serves every need that its version satisfies, its own or the provided one', () => {
  const base = pkg('lib-1', { depends: ['leaf'], provides: ['pc:lib=24.3'] });
  const indexes = indexOf(
    base,
    pkg('leaf-1'),
    pkg('app-1', { depends: ['lib', 'mid'] }),
    pkg('mid-1', { depends: ['pc:lib>=9.7', 'lib~1', 'pc:lib', 'pc:lib=24.3'] }),
    pkg('bad-1', { depends: ['pc:lib<9'] }),
  );
  assert.equal(solved(indexes, 'app'), 'leaf-1 lib-1 mid-1 app-1');
  const error = refusal(indexes, 'app', 'bad', 'lib');
  assert.match(
    error.message,
    /bad-1 needs pc:lib<9, but lib-1 cannot be used|lib-1 is already selected as pc:lib/,
  );
});

test('a need that the selected package does not meet is an error with advice', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['bar', 'c'] }),
    pkg('bar-2', { depends: ['leaf'] }),
    pkg('bar-1', { depends: ['leaf'] }),
    pkg('leaf-1'),
    pkg('c-1', { depends: ['bar<2', 'leaf'] }),
  );
  // c has one candidate and bar two, so c is taken up first.
  assert.equal(solved(indexes, 'a'), 'leaf-1 bar-1 c-1 a-1');
  const late = indexOf(
    pkg('a-1', { depends: ['bar'] }),
    pkg('bar-2', { depends: ['leaf'] }),
    pkg('bar-1', { depends: ['leaf'] }),
    pkg('leaf-1'),
    pkg('c-1', { depends: ['bar<2'] }),
  );
  refuses(late, ['a', 'c'], 'the package list asks for c, c-1 needs bar<2, but bar-2 is already selected');
  assert.match(refusal(late, 'a', 'c').hint ?? '', /add bar<2 to the package list/);
  assert.equal(solved(late, 'a', 'c', 'bar<2'), 'leaf-1 bar-1 a-1 c-1');
});

test('a choice that a later need contradicts is refused and not installed', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['bar'] }),
    pkg('bar-1'),
    pkg('bar-2'),
    pkg('c-1', { depends: ['bar<2'] }),
  );
  refuses(indexes, ['a', 'c'], 'c-1 needs bar<2, but bar-2 is already chosen');
  assert.equal(solved(indexes, 'a', 'c', 'bar<2'), 'bar-1 a-1 c-1');
});

test('a package that conflicts with another is not installed beside it, whichever comes first', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['!x<3'] }),
    pkg('x-2'),
    pkg('x-3'),
    pkg('z-1', { depends: ['!y'] }),
    pkg('y-1'),
    pkg('u-1', { depends: ['y'] }),
  );
  assert.equal(solved(indexes, 'a', 'x'), 'a-1 x-3');
  refuses(
    indexes,
    ['a', 'x<3'],
    'the package list asks for x<3, but x-2 cannot be used (a-1 conflicts with x<3); ' +
      'x-3 cannot be used (wrong version)',
  );
  refuses(indexes, ['u', 'z'], 'z-1 conflicts with y, but y-1 is already chosen');
  assert.deepEqual(solve({ world: ['a', '!q'], indexes }).conflicts, ['q', 'x<3']);
  refuses(
    indexes,
    ['u', '!y'],
    'the package list asks for u, u-1 needs y, but y-1 cannot be used (the package list excludes y)',
  );
});

test('a package may conflict with a name it provides: it means the others', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['!virt'], provides: ['virt'] }),
    pkg('b-1', { provides: ['virt'] }),
    pkg('user-1', { depends: ['virt', 'a'] }),
  );
  assert.equal(solved(indexes, 'a', 'user'), 'a-1 user-1');
});

test('two packages that own one name are not both installed', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['p'] }),
    pkg('p-9', { depends: ['leaf'] }),
    pkg('leaf-1'),
    pkg('q-1', { provides: ['p=7'], depends: ['leaf2'] }),
    pkg('leaf2-1'),
    pkg('z-1', { depends: ['q'] }),
  );
  refuses(
    indexes,
    ['a', 'z'],
    'the package list asks for z, z-1 needs q, q-1 and p-9 cannot be installed together, both own the name p',
  );
  const leaves = indexOf(
    pkg('a-1', { depends: ['p'] }),
    pkg('p-9'),
    pkg('q-1', { provides: ['p=7'] }),
    pkg('z-1', { depends: ['q'] }),
  );
  refuses(leaves, ['a', 'z'], 'q-1 and p-9 cannot be installed together, both own the name p');
  assert.equal(solved(leaves, 'a', 'q'), 'q-1 a-1');
});

test('a package may provide its own name, and one name twice', () => {
  const indexes = indexOf(pkg('a-2', { depends: ['leaf'], provides: ['a=2', 'v=1', 'v=2'] }), pkg('leaf-1'));
  assert.equal(solved(indexes, 'a', 'v'), 'leaf-1 a-2');
});

test('packages put ahead of others change nothing for who solves without them', () => {
  const entries = [pkg('foo-1'), pkg('user-1', { depends: ['foo', 'extra'] }), pkg('extra-1')];
  const source = { repository: './packages', entries };
  const base = buildUniverse([source]);
  const built = { repository: 'built', entries: [pkg('foo-1'), pkg('foo-2'), pkg('extra-1')] };
  const extended = buildUniverse([built, source]);
  const repositories = (indexes: Universe<Solvable>): string[] =>
    solve({ world: ['user'], indexes }).packages.map(
      ({ entry, repository }) => `${entry.name}-${entry.version} ${repository}`,
    );
  assert.deepEqual(repositories(extended), ['extra-1 built', 'foo-2 built', 'user-1 ./packages']);
  assert.deepEqual(repositories(base), ['extra-1 ./packages', 'foo-1 ./packages', 'user-1 ./packages']);
});

test('the same entries under another location, or with a tag, are other packages', () => {
  const entries = [pkg('foo-1')];
  const from = (repository: string, pin?: string): string[] =>
    solve({
      world: [pin === undefined ? 'foo' : `foo@${pin}`],
      indexes: buildUniverse([{ repository, pin, entries }]),
    }).packages.map((one) => `${one.repository} ${one.pin ?? ''}`);
  assert.deepEqual(
    [from('one'), from('two'), from('two', 'edge'), from('one')],
    [['one '], ['two '], ['two edge'], ['one ']],
  );
});

test('install_if adds a package when all its conditions are among the dependencies of one entry', () => {
  const indexes = indexOf(
    pkg('app-1', { depends: ['docs', 'lib'] }),
    pkg('lib-1'),
    pkg('docs-1'),
    pkg('libdoc-1', { installIf: ['docs', 'lib=1'], depends: ['ghost'] }),
    pkg('libold-1', { installIf: ['docs', 'lib=0'] }),
    pkg('chained-1', { installIf: ['libdoc'] }),
    pkg('part-1', { installIf: ['lib', 'nothere'] }),
    pkg('top-1', { installIf: ['app'] }),
  );
  assert.equal(solved(indexes, 'app'), 'docs-1 lib-1 libdoc-1 app-1');
  assert.equal(solved(indexes, 'docs', 'lib'), 'docs-1 lib-1');
});

test('install_if adds nothing that the choices rule out', () => {
  const indexes = indexOf(
    pkg('app-1', { depends: ['lib', '!addon'] }),
    pkg('lib-1'),
    pkg('addon-1', { installIf: ['lib'] }),
  );
  assert.equal(solved(indexes, 'app'), 'lib-1 app-1');
});

test('an entry of the list that is no constraint is refused with an example', () => {
  const error = refusal(indexOf(), 'foo >= 1');
  assert.equal(error.code, 'invalid-constraint');
  assert.match(error.message, /"foo >= 1"/);
});

test('a need in an index that is no constraint is reported like a missing package', () => {
  refuses(
    indexOf(pkg('a-1', { depends: ['b='] })),
    ['a'],
    'the package list asks for a, a-1 needs b=, but nothing provides b=',
  );
});

test('solving leaves the universe unchanged: a failed and a repeated solve have no effect on others', () => {
  const indexes = indexOf(
    pkg('a-1', { depends: ['bar<2'] }),
    pkg('b-1', { depends: ['bar>=2'] }),
    pkg('bar-1'),
    pkg('bar-2'),
  );
  for (let round = 0; round < 3; round += 1) {
    assert.equal(solved(indexes, 'a'), 'bar-1 a-1');
    assert.equal(solved(indexes, 'b'), 'bar-2 b-1');
    refusal(indexes, 'a', 'b');
  }
});

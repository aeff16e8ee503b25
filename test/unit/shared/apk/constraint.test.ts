import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Constraint,
  parseConstraint,
  parseProvide,
  satisfies,
  stripConstraint,
} from '../../../../shared/apk/constraint.ts';

const CONSTRAINTS: readonly [string, Constraint][] = [
  ['foo', { conflict: false, name: 'foo' }],
  ['foo=1.2-r3', { conflict: false, name: 'foo', requirement: { operator: '=', version: '1.2-r3' } }],
  ['foo<2', { conflict: false, name: 'foo', requirement: { operator: '<', version: '2' } }],
  ['foo>2', { conflict: false, name: 'foo', requirement: { operator: '>', version: '2' } }],
  ['foo<=2', { conflict: false, name: 'foo', requirement: { operator: '<=', version: '2' } }],
  ['foo>=2', { conflict: false, name: 'foo', requirement: { operator: '>=', version: '2' } }],
  ['foo~2', { conflict: false, name: 'foo', requirement: { operator: '~', version: '2' } }],
  ['foo=~2', { conflict: false, name: 'foo', requirement: { operator: '~', version: '2' } }],
  ['foo==2', { conflict: false, name: 'foo' }],
  ['foo~=2', { conflict: false, name: 'foo' }],
  ['foo><2', { conflict: false, name: 'foo' }],
  ['foo=<2', { conflict: false, name: 'foo' }],
  ['foo=>2', { conflict: false, name: 'foo' }],
  ['foo@edge', { conflict: false, name: 'foo', pin: 'edge' }],
  [
    'foo>=2@edge1',
    { conflict: false, name: 'foo', requirement: { operator: '>=', version: '2' }, pin: 'edge1' },
  ],
  ['!foo', { conflict: true, name: 'foo' }],
  ['!foo<3', { conflict: true, name: 'foo', requirement: { operator: '<', version: '3' } }],
  ['so:libc.musl-x86_64.so.1', { conflict: false, name: 'so:libc.musl-x86_64.so.1' }],
  [
    'so:libz.so.1=1.2',
    { conflict: false, name: 'so:libz.so.1', requirement: { operator: '=', version: '0.1.2' } },
  ],
  [
    'so:libz.so.1=1.2-r3',
    { conflict: false, name: 'so:libz.so.1', requirement: { operator: '=', version: '1.2-r3' } },
  ],
  [
    'so:libz.so.1>=1.2',
    { conflict: false, name: 'so:libz.so.1', requirement: { operator: '>=', version: '0.1.2' } },
  ],
  ['/bin/sh', { conflict: false, name: '/bin/sh' }],
  ['cmd:[=1-r0', { conflict: false, name: 'cmd:[', requirement: { operator: '=', version: '1-r0' } }],
  [
    'pc:gtk+-3.0>=3.22',
    { conflict: false, name: 'pc:gtk+-3.0', requirement: { operator: '>=', version: '3.22' } },
  ],
  ['foo=6.8.0p2-r4', { conflict: false, name: 'foo', requirement: { operator: '=', version: '6.8.0p2-r4' } }],
];

test('constraints are read by their grammar, a strange operator asking for any version', () => {
  for (const [text, expected] of CONSTRAINTS) assert.deepEqual(parseConstraint(text), expected, text);
});

test('a text with blanks, without a name, or with an operator or tag that lacks its rest is no constraint', () => {
  for (const text of [
    '',
    '!',
    '=1',
    '@edge',
    'foo=',
    'foo>=',
    'foo@',
    'foo =1',
    'foo= 1',
    'foo@a-b',
    'foo@a@b',
    'foo\n',
  ]) {
    assert.equal(parseConstraint(text), undefined, JSON.stringify(text));
  }
});

test('the bare name of a constraint is what precedes its operator or tag', () => {
  for (const [text, { name }] of CONSTRAINTS) assert.equal(stripConstraint(text), name, text);
  assert.equal(stripConstraint('foo='), 'foo');
  fc.assert(
    fc.property(fc.string(), (text) => {
      const constraint = parseConstraint(text);
      if (constraint !== undefined) assert.equal(stripConstraint(text), constraint.name);
    }),
  );
});

test('a provide is versioned, or virtual, or without effect when negated', () => {
  assert.deepEqual(parseProvide('foo'), { name: 'foo' });
  assert.deepEqual(parseProvide('foo=1.2'), { name: 'foo', version: '1.2' });
  assert.deepEqual(parseProvide('so:libz.so.1=1'), { name: 'so:libz.so.1', version: '0.1' });
  assert.deepEqual(parseProvide('so:libz.so.1=1-r0'), { name: 'so:libz.so.1', version: '1-r0' });
  assert.equal(parseProvide('!foo'), undefined);
  assert.deepEqual(parseProvide('foo='), { name: 'foo' });
});

/** `constraint: versions that meet it / versions that do not`. */
const MEETING = `
  x: 1 0.1-r9 anything /
  x==3: 1 3 4 /
  x=1.2: 1.2 1.2-r0 1.02 / 1.2-r1 1.2.0 1.3 1.2a
  x=1.2-r1: 1.2-r1 / 1.2 1.2-r0 1.2-r10
  x<1.2: 1.1 1.1.9 1.2_rc1 0 / 1.2 1.2-r1 1.2.0 1.2_p1
  x>1.2: 1.2-r1 1.2.0 1.2a 1.2_p1 2 / 1.2 1.2-r0 1.2_rc9 1.1
  x<=1.2: 1.2 1.2-r0 1.1 1.2_alpha / 1.2-r1 1.2.0 1.2_git1
  x>=1.2: 1.2 1.2-r0 1.2-r1 1.2.0 3 / 1.2_rc1 1.1.9 1
  x~1.2: 1.2 1.2.3 1.2.3_rc1-r4 1.2-r9 / 1.20 1.3 1
  x=~1.2: 1.2 1.2.3 / 1.20
  so:x=1: 0.1 / 1 1-r0
  x=6.8.0p2-r4: 6.8.0p2-r4 / 6.8.0p2-r5 6.8.0 6.8.0-r4
  x>=6.8: 6.8 / 6.9p2 junk
  x>6.8.0p2: / 7 6.8.0p2 6.8.0p3
  x~6.8.0p2: / 6.8.0p2 6.8.0`;

test('a version meets a constraint by its operator; one outside the grammar only when the texts are equal', () => {
  for (const line of MEETING.trim().split('\n')) {
    const [text = '', lists = ''] = line.trim().split(/: ?(?=[^:]*$)/);
    const [matching = '', others = ''] = lists.split('/');
    const constraint = parseConstraint(text);
    assert.ok(constraint, text);
    for (const version of matching.split(' ').filter(Boolean)) {
      assert.equal(satisfies(version, constraint.requirement), true, `${version} meets ${text}`);
    }
    for (const version of others.split(' ').filter(Boolean)) {
      assert.equal(satisfies(version, constraint.requirement), false, `${version} does not meet ${text}`);
    }
  }
});

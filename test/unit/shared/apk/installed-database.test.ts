import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IndexEntry } from '../../../../shared/apk/index-records.ts';
import {
  formatInstalled,
  type InstalledDirectory,
  type InstalledPackage,
} from '../../../../shared/apk/installed-database.ts';
import type { InstalledEntry } from '../../../../shared/apk/package-contents.ts';

const entry: IndexEntry = {
  controlChecksum: 'Q1abc=',
  name: 'hello',
  version: '2.10-r0',
  arch: 'x86_64',
  size: 123,
  installedSize: 456,
  description: 'prints a greeting',
  url: 'https://hello.test',
  license: 'MIT AND ISC',
  origin: 'greetings',
  maintainer: 'Ann <ann@hello.test>',
  buildDate: 1_700_000_000,
  commit: 'c0ffee',
  depends: ['so:libc.so.6', 'sh'],
  installIf: ['a', 'b=1'],
  provides: ['cmd:hello=2.10-r0'],
  providerPriority: 7,
  replaces: [],
  replacesPriority: 0,
};

const PLAIN = { uid: 0, gid: 0, mode: 0o755 };

function file(path: string, rest: Partial<InstalledEntry> = {}): InstalledEntry {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, sha1: 'c2hh', target: '', ...rest };
}

function one(rest: Partial<InstalledPackage>): InstalledPackage {
  return { entry, replaces: [], directories: new Map(), ...rest };
}

function lines(directories: readonly (readonly [string, InstalledDirectory])[]): string[] {
  const text = formatInstalled([one({ directories: new Map(directories) })]);
  return text.slice(text.indexOf('F:')).split('\n');
}

describe('the text of the installed database', () => {
  test('has a record with all letters of a package in their order, and a blank line', () => {
    assert.equal(
      formatInstalled([one({ replaces: ['old', 'older<2'] })]),
      [
        'P:hello',
        'V:2.10-r0',
        'A:x86_64',
        'L:MIT AND ISC',
        'T:prints a greeting',
        'o:greetings',
        'm:Ann <ann@hello.test>',
        'U:https://hello.test',
        'D:so:libc.so.6 sh',
        'p:cmd:hello=2.10-r0',
        'r:old older<2',
        'c:c0ffee',
        'i:a b=1',
        't:1700000000',
        'S:123',
        'I:456',
        'k:7',
        'C:Q1abc=',
        '',
        '',
      ].join('\n'),
    );
  });

  test('has the letters of what a package does not have, too, but for the replaced packages', () => {
    const bare: IndexEntry = {
      ...entry,
      license: '',
      description: '',
      origin: '',
      maintainer: '',
      url: '',
      commit: '',
      buildDate: undefined,
      depends: [],
      provides: [],
      installIf: [],
      providerPriority: 0,
    };
    assert.equal(
      formatInstalled([one({ entry: bare })])
        .split('\n')
        .map((line) => (/^[PVASIC]:/.test(line) ? line.slice(0, 2) : line))
        .join(' '),
      'P: V: A: L: T: o: m: U: D: p: c: i: t:0 S: I: k:0 C:  ',
    );
  });

  test('names attributes only where they are not the usual ones', () => {
    assert.deepEqual(
      lines([
        ['', { ...PLAIN, files: [file('top')] }],
        ['tmp', { ...PLAIN, mode: 0o1777, files: [] }],
        [
          'usr/bin',
          {
            uid: 5,
            gid: 6,
            mode: 0o755,
            files: [
              file('tool', { mode: 0o4755 }),
              file('owned', { gid: 3 }),
              file('l', { type: 'symlink', mode: 0o777 }),
              file('unknown', { sha1: '' }),
            ],
          },
        ],
      ]),
      [
        'F:',
        'R:top',
        'Z:Q1c2hh',
        'F:tmp',
        'M:0:0:1777',
        'F:usr/bin',
        'M:5:6:755',
        'R:tool',
        'a:0:0:4755',
        'Z:Q1c2hh',
        'R:owned',
        'a:0:3:644',
        'Z:Q1c2hh',
        'R:l',
        'a:0:0:777',
        'Z:Q1c2hh',
        'R:unknown',
        '',
        '',
      ],
    );
  });

  test('line breaks in texts become blanks, so that they begin no field', () => {
    const text = formatInstalled([one({ entry: { ...entry, description: 'one\nP:two\n\nthree' } })]);
    assert.ok(text.includes('\nT:one P:two three\n'));
  });

  test('what has a line break in its path is left out', () => {
    assert.deepEqual(
      lines([
        ['usr', { ...PLAIN, files: [file('a\nP:evil'), file('b')] }],
        ['usr/x\nF:y', { ...PLAIN, files: [file('c')] }],
      ]),
      ['F:usr', 'R:b', 'Z:Q1c2hh', '', ''],
    );
  });

  test('records stand in the order of the packages', () => {
    const other = one({ entry: { ...entry, name: 'another' } });
    assert.deepEqual(formatInstalled([one({}), other]).match(/^P:.*/gm), ['P:hello', 'P:another']);
    assert.equal(formatInstalled([]), '');
  });
});

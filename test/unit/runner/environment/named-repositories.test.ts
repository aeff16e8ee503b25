import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type NamedRepositoryPolicy,
  namedRepositories,
} from '../../../../runner/environment/named-repositories.ts';
import type { Repository } from '../../../../runner/environment/repository.ts';
import { allowedHost } from '../../../../runner/environment/trusted-fetch.ts';
import { generateSigningKey, type KeyRing, loadPublicKey } from '../../../../shared/apk/keys.ts';
import { PipelineError } from '../../../../shared/errors.ts';

const made = await generateSigningKey({ name: 'test.rsa', bits: 2048 });
const keys: KeyRing = new Map([['test.rsa.pub', loadPublicKey(made.publicPem, 'test.rsa.pub')]]);
const configured: Repository = {
  location: 'https://own.example/os/',
  baseUrl: 'http://127.0.0.1:1/os',
  mayBeEmpty: false,
  keys: new Map(),
};
const policy: NamedRepositoryPolicy = {
  reach: { hosts: ['packages.example.org', '*.wide.example', 'ports.example:8443', 'bare.example'] },
  keys: new Map([
    ['packages.example.org', keys],
    ['*.wide.example', keys],
    ['ports.example:8443', keys],
    ['bare.example', new Map()],
  ]),
};
const named = (...lines: string[]): Repository[] =>
  namedRepositories(lines, { configured: [configured], policy });

test('a repository on an allowed host is taken with the keys of that host and without credentials', () => {
  assert.deepEqual(named('https://packages.example.org/os/'), [
    {
      location: 'https://packages.example.org/os',
      baseUrl: 'https://packages.example.org/os',
      pin: undefined,
      mayBeEmpty: false,
      keys,
      reach: policy.reach,
    },
  ]);
});

test('tags stay, and a repository that is named twice counts once', () => {
  const found = named(
    '@edge https://a.wide.example/x',
    'https://a.wide.example/x',
    'https://ports.example:8443/',
  );
  assert.deepEqual(
    found.map((one) => [one.pin, one.location]),
    [
      ['edge', 'https://a.wide.example/x'],
      [undefined, 'https://ports.example:8443'],
    ],
  );
});

test('credentials of the operator are for the very host that they are given for', async () => {
  const credentials = [{ host: 'a.wide.example', authorization: async () => 'Basic eA==' }];
  const lines = ['https://a.wide.example/x', 'https://a.wide.example:444/x', 'https://b.wide.example/x'];
  const hosts = ['*.wide.example', '*.wide.example:444'];
  const wide = { hosts: [...hosts, 'a.wide.example:444'] };
  const found = namedRepositories(lines, {
    configured: [],
    policy: { reach: wide, keys: new Map(wide.hosts.map((host) => [host, keys])), credentials },
  });
  const shown = await Promise.all(found.map(async (one) => one.authorization?.()));
  assert.deepEqual(shown, ['Basic eA==', undefined, undefined]);
});

test('a configured repository may be named, and is not taken a second time', () => {
  assert.deepEqual(named('https://own.example/os', '@tag https://own.example/os/'), []);
});

test('the location is the one form that every program reads alike', () => {
  assert.equal(
    named('https://PACKAGES.example.org:443/a/../b')[0]?.location,
    'https://packages.example.org/b',
  );
});

const REFUSED: readonly (readonly [line: string, reason: RegExp])[] = [
  ['http://packages.example.org/os', /not reached over https/],
  ['file:///srv/packages', /not reached over https/],
  ['/srv/packages', /no URL/],
  ['./packages', /no URL/],
  ['gs://bucket/repo', /https:\/\/ repositories only/],
  ['ftp://packages.example.org/os', /https:\/\/ repositories only/],
  ['', /https:\/\/ repositories only/],
  ['https://packages.example.org/a b', /https:\/\/ repositories only/],
  ['https://other.example/os', /host other\.example is not on/],
  ['https://packages.example.org.other.example/os', /not on the operator's list/],
  ['https://packages.example.org:8443/os', /not on the operator's list/],
  ['https://ports.example/os', /not on the operator's list/],
  ['https://wide.example/os', /not on the operator's list/],
  ['https://evilwide.example/os', /not on the operator's list/],
  ['https://packages.example.org./os', /not on the operator's list/],
  ['https://other.example\\@packages.example.org/os', /not on the operator's list/],
  ['https://127.0.0.1/os', /not on the operator's list/],
  ['https://[::1]/os', /not on the operator's list/],
  ['https://user:secret@packages.example.org/os', /carries credentials/],
  ['https://packages.example.org/os?x=', /query or a fragment/],
  ['https://packages.example.org/os#x', /query or a fragment/],
  ['https://bare.example/os', /no keys for the host bare\.example/],
  ['@tag http://packages.example.org/os', /not reached over https/],
];

for (const [line, reason] of REFUSED) {
  test(`a build file that names ${JSON.stringify(line)} is refused`, () => {
    assert.throws(
      () => named(line),
      (thrown) => {
        assert.ok(thrown instanceof PipelineError);
        assert.deepEqual([thrown.code, thrown.kind], ['repository-refused', 'user']);
        assert.match(thrown.message, reason);
        assert.match(thrown.hint ?? '', /allowedHosts/);
        assert.doesNotMatch(thrown.message, /secret/);
        return true;
      },
    );
  });
}

test('without allowed hosts every repository of a build file is refused', () => {
  const none = { reach: { hosts: [] }, keys: new Map() };
  assert.throws(
    () => namedRepositories(['https://packages.example.org/os'], { configured: [], policy: none }),
    { code: 'repository-refused' },
  );
  assert.deepEqual(namedRepositories([], { configured: [], policy: none }), []);
});

test('the most exact entry for a host counts', () => {
  const hosts = ['*.example', '*.b.example', 'a.b.example'];
  const entry = (host: string): string | undefined => allowedHost(new URL(`https://${host}/`), hosts);
  assert.deepEqual(
    [entry('a.b.example'), entry('c.b.example'), entry('b.example'), entry('example')],
    ['a.b.example', '*.b.example', '*.example', undefined],
  );
});

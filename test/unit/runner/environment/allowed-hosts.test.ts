import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type RunnerConfig, readConfig } from '../../../../runner/config.ts';

async function configOf(repositoriesYaml: string): Promise<RunnerConfig> {
  const folder = await mkdtemp(join(tmpdir(), 'carryall-config-'));
  const before = { ...process.env };
  try {
    const required = ['GOOGLE_CLOUD_PROJECT', 'BUILDS_BUCKET', 'SPECS_BUCKETS', 'SIGNING_KEY_FILE'];
    for (const name of required) process.env[name] = 'given';
    process.env['BACKENDS_FILE'] = join(folder, 'backends.yaml');
    process.env['REPOSITORIES_FILE'] = join(folder, 'repositories.yaml');
    await writeFile(join(folder, 'backends.yaml'), 'backends: []\n');
    await writeFile(join(folder, 'repositories.yaml'), repositoriesYaml);
    return await readConfig();
  } finally {
    process.env = before;
    await rm(folder, { recursive: true });
  }
}

test('no host is allowed unless the operator lists it', async () => {
  assert.deepEqual((await configOf('repositories: []\n')).allowedHosts, []);
});

test('allowed hosts are read with their keys', async () => {
  const yaml = `repositories: []
allowedHosts:
  - { host: packages.example.org, keys: [/keys/a.rsa.pub] }
  - { host: "*.example.org" }
  - { host: "ports.example:8443" }
  - { host: "ports.example:443" }
`;
  assert.deepEqual((await configOf(yaml)).allowedHosts, [
    { host: 'packages.example.org', keys: ['/keys/a.rsa.pub'] },
    { host: '*.example.org', keys: [] },
    { host: 'ports.example:8443', keys: [] },
    { host: 'ports.example', keys: [] },
  ]);
});

for (const host of [
  '*',
  '*.',
  '',
  'a*.example',
  'a.*.example',
  'https://packages.example.org',
  'packages.example.org/os',
  'Packages.example.org',
  'packages.example.org:',
  '[::1]',
]) {
  test(`${JSON.stringify(host)} is no allowed host`, async () => {
    const yaml = `repositories: []\nallowedHosts: [{ host: ${JSON.stringify(host)} }]\n`;
    await assert.rejects(configOf(yaml), { code: 'config-invalid', message: /allowedHosts\.0\.host/ });
  });
}

test('credentials are read with their host, and no others', async () => {
  const yaml = `repositories: []
credentials:
  - { host: packages.example.org, basicFile: /run/secrets/packages }
  - { host: "ports.example:443", bearerFile: /run/secrets/ports }
`;
  assert.deepEqual((await configOf(yaml)).credentials, [
    { host: 'packages.example.org', basicFile: '/run/secrets/packages' },
    { host: 'ports.example', bearerFile: '/run/secrets/ports' },
  ]);
  assert.deepEqual((await configOf('repositories: []\n')).credentials, []);
});

for (const entry of [
  '{ host: packages.example.org }',
  '{ host: packages.example.org, basicFile: /a, bearerFile: /b }',
  '{ host: packages.example.org, basicFile: "" }',
  '{ host: "*.example.org", basicFile: /a }',
  '{ host: "https://packages.example.org", basicFile: /a }',
  '{ basicFile: /a }',
]) {
  test(`${entry} gives no credentials`, async () => {
    const yaml = `repositories: []\ncredentials: [${entry}]\n`;
    await assert.rejects(configOf(yaml), { code: 'config-invalid', message: /credentials\.0/ });
  });
}

test('a repository whose URL carries credentials is refused, and they are not told', async () => {
  const yaml = 'repositories: [{ location: "https://user:secret-word@packages.example.org/os", keys: [] }]\n';
  await assert.rejects(configOf(yaml), (thrown: Error) => {
    assert.match(thrown.message, /packages\.example\.org\/os carries credentials/);
    assert.doesNotMatch(thrown.message, /secret-word/);
    return true;
  });
});

test('plain http is refused in production however its scheme is written', async () => {
  const yaml = 'repositories: [{ location: "HTTP://packages.example.org/os", keys: [] }]\n';
  await assert.rejects(configOf(yaml), { code: 'config-invalid', message: /not reached over https/ });
});

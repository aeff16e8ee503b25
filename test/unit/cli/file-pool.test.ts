import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processInOrder } from '../../../cli/file-pool.ts';
import type { FileResult, FileTask, InputFile } from '../../../cli/file-task.ts';
import { buildFile, createTestFolder, validation } from './files.ts';

async function run(inputs: readonly InputFile[], task: FileTask, threads: number): Promise<FileResult[]> {
  return Array.fromAsync(processInOrder(inputs, task, threads));
}

test('one thread, two and three give the same results in the order of the files', async () => {
  using folder = createTestFolder();
  const inputs: InputFile[] = Array.from({ length: 100 }, (_, index) => {
    // Some are slow, some wrong, some missing.
    const step =
      index % 5 === 0 ? '{uses: nothing}' : `{runs: "${'x'.repeat(index % 7 === 0 ? 20_000 : 1)}"}`;
    const name = folder.write(`${index}.yaml`, buildFile(`p${index}`, step));
    return { name: index % 11 === 0 ? `${name}.gone` : name, origin: 'named' };
  });
  const alone = await run(inputs, validation, 1);
  assert.deepEqual(
    alone.map((one) => one.outcome),
    inputs.map((_, index) => (index % 11 === 0 ? 'failed' : index % 5 === 0 ? 'invalid' : 'valid')),
  );
  assert.deepEqual(await run(inputs, validation, 2), alone);
  assert.deepEqual(await run(inputs, validation, 3), alone);
});

test('files are not read long before their results are taken', async () => {
  using folder = createTestFolder();
  const good = folder.write('good.yaml', buildFile('good', '{runs: x}'));
  const late = folder.write('late.yaml', buildFile('late', '{runs: x}'));
  const inputs: InputFile[] = Array.from({ length: 1000 }, (_, index) => {
    return { name: index < 900 ? good : late, origin: 'named' };
  });
  for (const threads of [1, 2]) {
    const results = processInOrder(inputs, validation, threads);
    assert.equal((await results.next()).value?.outcome, 'valid');
    folder.write('late.yaml', 'broken');
    const rest = await Array.fromAsync(results);
    assert.deepEqual(
      rest.map((one) => one.outcome),
      inputs.slice(1).map(({ name }) => (name === good ? 'valid' : 'invalid')),
    );
    folder.write('late.yaml', buildFile('late', '{runs: x}'));
  }
});

test('whoever stops taking results ends the threads', async () => {
  using folder = createTestFolder();
  const name = folder.write('good.yaml', buildFile('good', '{runs: x}'));
  const inputs = Array.from({ length: 500 }, () => ({ name, origin: 'named' }) as const);
  for await (const result of processInOrder(inputs, validation, 2)) {
    assert.equal(result.outcome, 'valid');
    break;
  }
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((one) => one === 'MessagePort'),
    [],
  );
});

test('a found file that is no build file is ignored, a named one is wrong', async () => {
  using folder = createTestFolder();
  const texts = [
    'name: x\n',
    '# package\nname: x\n',
    'package: {name: x}\n',
    'package: [\n',
    'a: [package\n',
  ];
  const names = texts.map((text, index) => folder.write(`${index}.yaml`, text));
  const outcomes = async (origin: InputFile['origin']) => {
    const results = await run(
      names.map((name) => ({ name, origin })),
      validation,
      1,
    );
    return results.map((one) => one.outcome);
  };
  assert.deepEqual(await outcomes('found'), ['ignored', 'ignored', 'invalid', 'invalid', 'ignored']);
  assert.deepEqual(
    await outcomes('named'),
    names.map(() => 'invalid'),
  );
});

test('a mistake is named once, though it is one for both architectures, and in the order of the lines', async () => {
  const text = `${buildFile('x', '{runs: "${{vars.b}}"}')}vars: {a: "\${{vars.c}}"}\n`;
  const [result] = await run([{ name: 'x.yaml', text, origin: 'named' }], validation, 1);
  const lines = result?.documents.join('').split('\n') ?? [];
  assert.deepEqual(
    lines.filter((line) => line.startsWith('x.yaml')),
    ['x.yaml:5:13: unknown variable vars.b', 'x.yaml:6:12: unknown variable vars.c'],
  );
  assert.equal(result?.errors, 2);
});

test('a mistake in a pipeline, vars or environment file is shown with a line of that file', async () => {
  using folder = createTestFolder();
  const name = folder.write('x.yaml', buildFile('x', '{uses: own}'));
  folder.write('pipelines/own.yaml', 'runs: echo ${{nothing}}\n');
  const [pipeline] = await run([{ name, origin: 'named' }], validation, 1);
  assert.match(
    pipeline?.documents.join('') ?? '',
    /own\.yaml:1:12: .*\n {2}runs: echo \$\{\{nothing\}\}\n {13}\^/,
  );

  const varsFile = { file: 'my.vars', text: 'a: [b]\n' };
  const environmentFiles = [{ file: 'my.env', text: 'what is this\n' }];
  const [others] = await run([{ name, origin: 'named' }], { ...validation, varsFile, environmentFiles }, 1);
  assert.match(others?.documents.join('') ?? '', /^my\.vars:1:4: .*\n {2}a: \[b\]\n/m);
  assert.match(others?.documents.join('') ?? '', /^my\.env:1:1: .*\n {2}what is this\n/m);
});

test('the shell of the steps is checked too', async () => {
  const inputs = ['{runs: "if true; then"}', '{runs: "true"}', '{runs: "echo \'x"}'].map((step, index) => {
    return { name: `${index}.yaml`, text: buildFile('x', step), origin: 'named' } as const;
  });
  const results = await run(inputs, validation, 1);
  assert.deepEqual(
    results.map((one) => one.outcome),
    ['invalid', 'valid', 'invalid'],
  );
  assert.match(results[2]?.documents.join('') ?? '', /^2\.yaml:5:.*shell syntax/);
});

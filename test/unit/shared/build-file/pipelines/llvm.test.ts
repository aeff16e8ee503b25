/** What llvm/covreport asks LLVM; that it reports is tested in test/pipelines/large/llvm.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fails, type LocalRun, localRun, succeeds } from './local-run.ts';

const REPORT = `record "$@"
echo 'Filename  Regions  Missed Regions  Cover  Functions  Missed Functions  Executed'
echo 'TOTAL     8        2               75.00% 4          1                 66.67%  9  3  77.00%'`;

function withLlvm(context: TestContext): LocalRun {
  const root = localRun(context);
  root.tool('llvm-profdata', 'record "$@"');
  root.tool('llvm-cov', REPORT);
  root.files({ 'default_1.profraw': '', 'default_2.profraw': '' });
  return root;
}

test('llvm/covreport merges all records and prints the share of functions that ran', (context) => {
  const root = withLlvm(context);
  const result = root.run([{ uses: 'llvm/covreport', with: { object: '/usr/bin/a b' } }]);
  succeeds(result);
  assert.match(result.stdout, /^Statements coverage: 66\.67%$/m);
  const more = { object: 'thing', 'ignore-filename-regex': '(test|x y)\\.c$' };
  succeeds(root.run([{ uses: 'llvm/covreport', with: more }]));
  const merge = 'llvm-profdata: merge -sparse default_1.profraw default_2.profraw -o default.profdata';
  assert.deepEqual(root.asked(), [
    merge,
    'llvm-cov: report /usr/bin/a\\ b -instr-profile=default.profdata',
    merge,
    'llvm-cov: report thing -instr-profile=default.profdata -ignore-filename-regex=\\(test\\|x\\ y\\)\\\\.c\\$',
  ]);
});

test('llvm/covreport fails when no package of the name is installed and no object is given', (context) => {
  fails(
    withLlvm(context).run([{ uses: 'llvm/covreport' }]),
    /^llvm\/covreport: the package thing has no program/m,
  );
});

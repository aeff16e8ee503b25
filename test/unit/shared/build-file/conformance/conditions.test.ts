/** Conditions and substitution: the section pkg/cond. */
import assert from 'node:assert/strict';
import {
  evaluateCondition,
  parseCondition,
  renderCondition,
} from '../../../../../shared/build-file/condition.ts';
import {
  createScope,
  type ReferenceProblem,
  replaceKnown,
  type Scope,
  substitute,
} from '../../../../../shared/build-file/variables.ts';
import { lines, problems, withPackage } from '../language.ts';
import { type ConformanceCase, conforms } from './lines.ts';

const scope = createScope(
  new Map([
    ['metal', 'copper'],
    ['vars.grade', 'b2'],
    ['snake_name', 'python'],
    ['lines', 'up\ndown'],
    ['columns', 'left\tright'],
    ['path', 'c:\\dir'],
  ]),
);

/** The value of a condition, or the message of what is wrong with it. */
function evaluate(text: string, values: Scope = scope): boolean | string {
  const { condition, problem } = parseCondition(text);
  if (condition === undefined) return problem.message;
  const found: ReferenceProblem[] = [];
  const holds = evaluateCondition(condition, values, found);
  return found[0]?.message ?? holds;
}

function decides(table: readonly (readonly [string, boolean])[]): ConformanceCase[] {
  return table.map(([text, expected]) => ({
    name: `${JSON.stringify(text)} is ${expected}`,
    check: () => assert.equal(evaluate(text), expected),
  }));
}

function refuses(table: readonly (readonly [string, RegExp])[]): ConformanceCase[] {
  return table.map(([text, message]) => ({
    name: `${JSON.stringify(text)} is an error`,
    check: () => assert.match(String(evaluate(text)), message),
  }));
}

conforms(
  '† (both) equality and inequality of two quoted strings.',
  decides([
    [`'tin' == 'tin'`, true],
    [`'tin' == 'lead'`, false],
    [`"tin" == 'tin'`, true],
    [`'tin' != 'lead'`, true],
    [`"tin" != "tin"`, false],
    [`'' == ''`, true],
    [`'Tin' == 'tin'`, false],
    [`'1.0' == '1'`, false],
  ]),
);

conforms(
  '† (both) a chain of three comparisons with and.',
  decides([
    [`'a' == 'a' && 'b' != 'c' && "d" == 'd'`, true],
    [`'a' == 'x' && 'b' != 'c' && "d" == 'd'`, false],
    [`'a' == 'a' && 'b' != 'b' && "d" == 'd'`, false],
    [`'a' == 'a' && 'b' != 'c' && "d" == 'x'`, false],
  ]),
);

conforms(
  '† (both) a chain with or where only the right side holds.',
  decides([
    [`'a' == 'b' || 'c' == 'c'`, true],
    [`'a' == 'b' || 'c' == 'd' || 'e' != 'f'`, true],
    [`'a' == 'b' || 'c' == 'd'`, false],
  ]),
);

conforms(
  '† (both) parenthesised group combined with or.',
  decides([
    [`('a' == 'a' && 'b' == 'c') || 'd' == 'd'`, true],
    [`'d' == 'x' || ('a' == 'a' && 'b' == 'b')`, true],
    [`'d' == 'd' || ('a' == 'a' && 'b' == 'c')`, true],
    // Without the group the two operators count alike and go from left to right.
    [`'d' == 'd' || 'a' == 'a' && 'b' == 'c'`, false],
    [`( ( 'a' == 'b' ) ) || ("c" != "c")`, false],
  ]),
);

conforms(
  '(both, misnamed so never executed) an expression that ends after the operator is an error.',
  refuses([
    [`'a' ==`, /ends where a value is expected/],
    [`'a' != `, /ends where a value is expected/],
    [`'a' == 'a' &&`, /ends where a value is expected/],
    [`'a' == 'a' || `, /ends where a value is expected/],
    [`('a' == 'a' ||)`, /expected a quoted text or a variable/],
  ]),
);

conforms(
  '† (both) variables inside expressions resolved through a callback; unknown ones make evaluation fail when the callback fails.',
  [
    ...decides([
      [`\${{metal}} == 'copper'`, true],
      [`'b2' == \${{vars.grade}}`, true],
      [`\${{metal}} == \${{vars.grade}}`, false],
      [`'copper-b2' == "\${{metal}}-\${{vars.grade}}"`, true],
    ]),
    {
      name: 'the callback is asked for every name, also behind a comparison that has decided already',
      check: () => {
        const asked: string[] = [];
        const values: Scope = {
          get(name) {
            asked.push(name);
            return name;
          },
          names: () => [],
        };
        assert.equal(evaluate(`\${{one}} == 'two' && \${{ three }} == "\${{four}}"`, values), false);
        assert.deepEqual(asked, ['one', 'three', 'four']);
      },
    },
    ...refuses([
      [`\${{gold}} == 'copper'`, /unknown variable gold/],
      [`'a' == 'a' || \${{vars.gold}} == ''`, /unknown variable vars\.gold/],
      [`"x\${{gold}}" != 'x'`, /unknown variable gold/],
    ]),
    {
      name: 'in a build file the unknown name is reported where it stands',
      check: () => {
        const text = withPackage(`pipeline:\n  - if: \${{build.arhc}} == 'x86_64'\n    runs: x\n`);
        assert.deepEqual(lines(problems(text)), ['5:9 unknown-variable unknown variable build.arhc']);
      },
    },
  ],
);

conforms(
  '† U: variable reference without closing braces is an error.',
  refuses([
    [`\${{metal == 'copper'`, /not closed/],
    [`\${{metal} == 'copper'`, /not closed/],
    [`'copper' == \${{metal`, /not closed/],
    [`'\${{metal' == 'copper'`, /not closed/],
    ['${{', /not closed/],
  ]),
);

conforms(
  '† U: escapes in string literals: both quotes, backslash, newline, tab; unknown escapes keep the backslash; quote of the other kind needs none.',
  decides([
    [`'it\\'s' == "it's"`, true],
    [`"a \\"word\\"" == 'a "word"'`, true],
    [`"it\\'s" == 'it\\'s'`, true],
    [`'c:\\\\dir' == \${{path}}`, true],
    [`'up\\ndown' == \${{lines}}`, true],
    [`"left\\tright" == \${{columns}}`, true],
    [`'a\\rb' == 'a\\\\rb'`, true],
    [`'a\\xb' == 'axb'`, false],
    [`'\\d+' == "\\\\d+"`, true],
  ]),
);

conforms(
  '† (both) blanks inside variable braces are allowed.',
  decides([
    [`\${{ metal }} == 'copper'`, true],
    [`\${{   metal}} == 'copper'`, true],
    [`\${{metal\t}} == 'copper'`, true],
    [`\${{\r\n metal\n}} == 'copper'`, true],
    [`"\${{ vars.grade }}!" == 'b2!'`, true],
  ]),
);

/** The text with its variables replaced, or the messages of all problems. */
function replaced(text: string): string | readonly string[] {
  const found: ReferenceProblem[] = [];
  const result = substitute(text, scope, found);
  return found.length === 0 ? result : found.map((one) => one.message);
}

function becomes(table: readonly (readonly [string, string])[]): ConformanceCase[] {
  return table.map(([text, expected]) => ({
    name: `${JSON.stringify(text)} becomes ${JSON.stringify(expected)}`,
    check: () => assert.equal(replaced(text), expected),
  }));
}

const shell = 'for f in $LIST; do echo "${f%.c} $((1 + 2)) $(date) {{x}} ${x} $$"; done';

conforms(
  '† Subst (both): one variable; several variables; blanks inside braces; underscore in names; surrounding white space and newlines preserved exactly; a newline right after a variable; a shell fragment with other dollar syntax left untouched.',
  becomes([
    ['${{metal}}', 'copper'],
    ['${{metal}}${{vars.grade}} or ${{metal}}', 'copperb2 or copper'],
    ['a ${{ metal }} b', 'a copper b'],
    ['${{snake_name}}', 'python'],
    ['  \n\t ${{metal}} \n\n', '  \n\t copper \n\n'],
    ['${{metal}}\nnext', 'copper\nnext'],
    ['${{metal}}\r\nnext', 'copper\r\nnext'],
    [shell, shell],
    [`${shell} ${'${{metal}}'}`, `${shell} copper`],
    ['', ''],
    ['$${{metal}}$', '$copper$'],
  ]),
);

conforms(
  '† U Subst: tabs and newlines inside braces allowed; missing closing braces, empty name, and a marker at the very end of the text are errors.',
  [
    ...becomes([
      ['${{\tmetal\t}}', 'copper'],
      ['${{\nmetal\r\n}}', 'copper'],
    ]),
    ...(
      [
        ['a ${{metal b', [/not closed/]],
        ['a ${{metal} b', [/not closed/]],
        ['a ${{me tal}} b', [/not closed|cannot be the name/]],
        ['a ${{}} b', [/is empty/]],
        ['a ${{ \t}} b', [/is empty/]],
        ['a ${{', [/not closed/]],
        ['a ${{metal', [/not closed/]],
        ['${{gold}} ${{ }} ${{silver}} ${{', [/is empty/, /not closed/, /gold/, /silver/]],
      ] as const
    ).map(([text, messages]) => ({
      name: `${JSON.stringify(text)} has ${messages.length} ${messages.length === 1 ? 'error' : 'errors'}`,
      check: () => {
        const found = replaced(text);
        assert.ok(typeof found !== 'string');
        assert.equal(found.length, messages.length);
        for (const message of messages)
          assert.ok(
            found.some((one) => message.test(one)),
            String(message),
          );
      },
    })),
  ],
);

const values = new Map([
  ['package.name', 'lamp'],
  ['vars.odd', 'a "b" $& $1 \\ `c` ${x}'],
  ['vars.again', '${{package.name}}'],
]);

conforms(
  '† M2 map substitution: keys may be given bare or already wrapped; several/no/unknown/partly unknown variables; empty input; values with special characters inserted verbatim; the quoting variant quotes inserted values and escapes specials.',
  [
    ...(
      [
        ['a bare key', '${{package.name}}', 'lamp'],
        ['several variables', '${{package.name}}-${{package.name}}', 'lamp-lamp'],
        ['no variable', 'echo $x', 'echo $x'],
        ['an unknown variable, which stays for later', '${{build.arch}}', '${{build.arch}}'],
        ['partly unknown variables', '${{build.arch}}/${{package.name}}', '${{build.arch}}/lamp'],
        ['an empty text', '', ''],
        ['a value with special characters, verbatim', '<${{vars.odd}}>', '<a "b" $& $1 \\ `c` ${x}>'],
        ['a value that looks like a variable, once', '${{vars.again}}', '${{package.name}}'],
        ['a name with blanks, which is left to the compiler', '${{ package.name }}', '${{ package.name }}'],
      ] as const
    ).map(([name, text, expected]) => ({
      name,
      check: () => assert.equal(replaceKnown(text, values), expected),
    })),
    {
      name: 'ours: keys are always bare, a wrapped one names nothing',
      check: () => assert.equal(replaceKnown('${{x}}', new Map([['${{x}}', 'y']])), '${{x}}'),
    },
    ...(
      [
        [`\${{metal}} == 'copper'`, '"copper" == "copper"'],
        [`\${{path}} != \${{lines}}`, '"c:\\\\dir" != "up\\ndown"'],
        [`'say "\${{metal}}"' == \${{columns}}`, '"say \\"copper\\"" == "left\\tright"'],
      ] as const
    ).map(([text, expected]) => ({
      name: `ours: values are quoted where conditions are written out: ${JSON.stringify(text)}`,
      check: () => {
        const { condition } = parseCondition(text);
        assert.ok(condition);
        assert.equal(renderCondition(condition, scope), expected);
      },
    })),
  ],
);

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Solvable } from '../../../../runner/environment/solvable.ts';
import { solve } from '../../../../runner/environment/solver.ts';
import { buildUniverse } from '../../../../runner/environment/universe.ts';
import { parseConstraint, satisfies } from '../../../../shared/apk/constraint.ts';
import { alpineIndexMissing, readAlpineIndex } from './alpine-index.ts';
import { randomNumbers, readPackageSets } from './alpine-package-sets.ts';
import { pkg } from './small-universe.ts';
import { fits, readWanted } from './solution-constraints.ts';
import { faults, proofOfNone, superfluous } from './solution-oracle.ts';

interface Case {
  readonly what: string;
  readonly sound: readonly Solvable[];
  readonly faulty: readonly Solvable[];
  readonly fault: string;
}

const app = (...depends: string[]): Solvable => pkg('app-1', { depends });

/** For each rule a set of packages that keeps it, and one that differs in little and breaks it. */
const CASES: readonly Case[] = [
  {
    what: 'a missing package',
    sound: [app('lib'), pkg('lib-1')],
    faulty: [app('lib')],
    fault: 'app-1 lacks lib',
  },
  {
    what: 'a package that is too old',
    sound: [app('lib>=2'), pkg('lib-2')],
    faulty: [app('lib>=2'), pkg('lib-1.9')],
    fault: 'app-1 lacks lib>=2',
  },
  {
    what: 'another version than the one asked for',
    sound: [app('lib=1.2_p1'), pkg('lib-1.2_p1')],
    faulty: [app('lib=1.2_p1'), pkg('lib-1.2')],
    fault: 'app-1 lacks lib=1.2_p1',
  },
  {
    what: 'a version that only looks like the prefix',
    sound: [app('lib~1.2'), pkg('lib-1.2.9')],
    faulty: [app('lib~1.2'), pkg('lib-1.20')],
    fault: 'app-1 lacks lib~1.2',
  },
  {
    what: 'a shared object that nobody provides',
    sound: [app('so:libz.so.1'), pkg('zlib-1', { provides: ['so:libz.so.1=1.2.12'] })],
    faulty: [app('so:libz.so.1'), pkg('zlib-1', { provides: ['so:libz.so.2=1.2.12'] })],
    fault: 'app-1 lacks so:libz.so.1',
  },
  {
    what: 'a shared object of a lower version',
    sound: [app('so:libz.so.1>=1.2'), pkg('zlib-1', { provides: ['so:libz.so.1=1.2.12'] })],
    faulty: [app('so:libz.so.1>=1.2'), pkg('zlib-1', { provides: ['so:libz.so.1=1.1.9'] })],
    fault: 'app-1 lacks so:libz.so.1>=1.2',
  },
  {
    what: 'a command of a lower version',
    sound: [app('cmd:tar>=1.30'), pkg('tar-9', { provides: ['cmd:tar=1.34-r0'] })],
    faulty: [app('cmd:tar>=1.30'), pkg('tar-9', { provides: ['cmd:tar=1.29-r0'] })],
    fault: 'app-1 lacks cmd:tar>=1.30',
  },
  {
    what: 'a pkg-config file of a lower version',
    sound: [app('pc:zlib>=1.2'), pkg('dev-1', { provides: ['pc:zlib=1.2.12'] })],
    faulty: [app('pc:zlib>=1.2'), pkg('dev-1', { provides: ['pc:zlib=1.1'] })],
    fault: 'app-1 lacks pc:zlib>=1.2',
  },
  {
    what: 'a name provided without the version that is asked for',
    sound: [app('mail>=1'), pkg('exim-4', { provides: ['mail=4'] })],
    faulty: [app('mail>=1'), pkg('exim-4', { provides: ['mail'] })],
    fault: 'app-1 lacks mail>=1',
  },
  {
    what: 'a package that another one forbids',
    sound: [app('!other'), pkg('another-1')],
    faulty: [app('!other'), pkg('other-1')],
    fault: 'app-1 conflicts with !other',
  },
  {
    what: 'a forbidden version',
    sound: [app('!other<2'), pkg('other-2')],
    faulty: [app('!other<2'), pkg('other-1')],
    fault: 'app-1 conflicts with !other<2',
  },
  {
    what: 'a forbidden name that is provided',
    sound: [app('!mail', 'exim'), pkg('exim-4')],
    faulty: [app('!mail', 'exim'), pkg('exim-4', { provides: ['mail'] })],
    fault: 'app-1 conflicts with !mail',
  },
  {
    what: 'two versions of one package',
    sound: [app('lib'), pkg('lib-2')],
    faulty: [app('lib'), pkg('lib-2'), pkg('lib-1')],
    fault: 'lib and lib own lib',
  },
  {
    what: 'two owners of a versioned name',
    sound: [app(), pkg('a-1', { provides: ['v'] }), pkg('b-1', { provides: ['v'] })],
    faulty: [app(), pkg('a-1', { provides: ['v=1'] }), pkg('b-1', { provides: ['v=2'] })],
    fault: 'a and b own v',
  },
  {
    what: 'a versioned name that is the name of another package',
    sound: [app(), pkg('a-1', { provides: ['b'] }), pkg('b-1')],
    faulty: [app(), pkg('a-1', { provides: ['b=1'] }), pkg('b-1')],
    fault: 'a and b own b',
  },
  {
    what: 'what a package lacks that install_if would bring, where another one needs it',
    sound: [app(), pkg('doc-1', { installIf: ['app'], depends: ['viewer'] })],
    faulty: [app('doc'), pkg('doc-1', { installIf: ['app'], depends: ['viewer'] })],
    fault: 'doc-1 lacks viewer',
  },
];

for (const { what, sound, faulty, fault } of CASES) {
  test(`the judge sees ${what}`, () => {
    assert.deepEqual(faults(sound, ['app']), []);
    assert.deepEqual(faults(faulty, ['app']), [fault]);
  });
}

test('the judge sees what the package list lacks and forbids', () => {
  const packages = [pkg('a-1'), pkg('b-1', { provides: ['c=3'] })];
  assert.deepEqual(faults(packages, ['a=1', 'c>2', '!c>3', '!d']), []);
  assert.deepEqual(faults(packages, ['a=2', 'c<2', '!c', 'd']), [
    'the world lacks a=2',
    'the world lacks c<2',
    'the world conflicts with !c',
    'the world lacks d',
  ]);
});

test('the judge sees packages that nothing asks for', () => {
  const doc = pkg('doc-1', { installIf: ['app', 'docs'] });
  const packages = [app('lib'), pkg('lib-1'), pkg('island-1', { depends: ['islet'] }), pkg('islet-1'), doc];
  assert.deepEqual(superfluous(packages, ['app']), ['island-1', 'islet-1', 'doc-1']);
  assert.deepEqual(superfluous([...packages, pkg('docs-1')], ['app', 'docs', 'island']), []);
});

test('a proof that there is no solution holds, and there is none where one exists', () => {
  const universe = [
    app('lib'),
    pkg('lib-1', { provides: ['v=1'] }),
    pkg('rival-1', { provides: ['v=2'] }),
    pkg('enemy-1', { depends: ['!lib'] }),
    pkg('lost-1', { depends: ['nowhere'] }),
  ];
  assert.equal(proofOfNone(universe, ['app']), undefined);
  assert.equal(proofOfNone(universe, ['rival', 'enemy']), undefined);
  assert.equal(proofOfNone(universe, ['lost']), 'nothing has nowhere');
  assert.equal(proofOfNone(universe, ['rival', 'app']), 'all that has lib is barred');
  assert.equal(proofOfNone(universe, ['lib', 'enemy']), 'all that has enemy is barred');
});

const alpine = { skip: alpineIndexMissing };
const entries = alpineIndexMissing === false ? readAlpineIndex() : [];

/** Solutions of some sets of the fixture, of rising size. */
function someSolutions(): { world: readonly string[]; packages: readonly Solvable[] }[] {
  const indexes = buildUniverse([{ repository: 'main', entries }]);
  return readPackageSets()
    .filter((_, index) => index % 20 === 10)
    .slice(0, 8)
    .map((world) => ({ world, packages: solve({ world, indexes }).packages.map(({ entry }) => entry) }));
}

test(
  'in real solutions the judge misses each package that is taken out, unless install_if brought it',
  alpine,
  (t) => {
    let taken = 0;
    for (const { world, packages } of someSolutions()) {
      for (const gone of packages) {
        const found = faults(
          packages.filter((entry) => entry !== gone),
          world,
        );
        taken += 1;
        if (gone.installIf.length > 0) continue;
        assert.ok(
          found.some((text) => text.includes(' lacks ')),
          `${gone.name} is not missed`,
        );
      }
    }
    t.diagnostic(`${taken} packages taken out`);
  },
);

test(
  'in real solutions the judge sees a second package of a name, a stranger, and a broken promise',
  alpine,
  () => {
    let promises = 0;
    for (const { world, packages } of someSolutions()) {
      const [first] = packages;
      assert.ok(first);
      const older: Solvable = { ...first, version: '0', provides: [] };
      assert.deepEqual(faults([...packages, older], world), [
        `${first.name} and ${first.name} own ${first.name}`,
      ]);
      const stranger = pkg('stranger-1', { depends: [`!${first.name}`] });
      assert.deepEqual(faults([...packages, stranger], world), [`stranger-1 conflicts with !${first.name}`]);
      assert.deepEqual(superfluous([...packages, stranger], world), ['stranger-1']);
      for (const one of packages) {
        const so = one.provides.find((text) => text.startsWith('so:'))?.replace(/=.*/, '');
        if (so === undefined || !packages.some(({ depends }) => depends.includes(so))) continue;
        const without = { ...one, provides: one.provides.filter((text) => !text.startsWith(`${so}=`)) };
        const found = faults(
          packages.map((entry) => (entry === one ? without : entry)),
          world,
        );
        assert.ok(
          found.some((text) => text.endsWith(` lacks ${so}`)),
          so,
        );
        promises += 1;
      }
    }
    assert.ok(promises > 50, `${promises} promises`);
  },
);

test('two readings of constraints and versions, made apart, agree on the whole index', alpine, (t) => {
  const versions = [...new Set(entries.map(({ version }) => version))];
  const asked = [...new Set(entries.flatMap(({ depends, provides }) => [...depends, ...provides]))];
  const random = randomNumbers(5);
  const any = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? '';
  const compare = (text: string, version: string): void => {
    const theirs = parseConstraint(text);
    assert.ok(theirs, text);
    const ours = readWanted(text);
    assert.deepEqual(
      [ours.forbids, ours.name, ours.version?.operator, ours.version?.text],
      [theirs.conflict, theirs.name, theirs.requirement?.operator, theirs.requirement?.version],
      text,
    );
    assert.equal(fits(version, ours), satisfies(version, theirs.requirement), `${version} for ${text}`);
  };
  let compared = 0;
  for (const text of asked) {
    compare(text, any(versions));
    compare(text, text.replace(/^[^=<>~]*[=<>~]*/, '') || any(versions));
    compared += 2;
  }
  for (const version of versions) {
    for (const operator of ['=', '<', '>', '<=', '>=', '~', '=~']) {
      for (const other of [version, version.replace(/-r\d+$/, ''), any(versions), any(versions)]) {
        compare(`x${operator}${other}`, version);
        compared += 1;
      }
    }
  }
  t.diagnostic(`${compared} comparisons`);
});

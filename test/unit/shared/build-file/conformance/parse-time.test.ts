/** What parsing replaces and what it leaves: section 3 of the specification of the build file. */
import assert from 'node:assert/strict';
import { compileBuildFile } from '../../../../../shared/build-file/index.ts';
import { compiled, parsed, problems, withPackage } from '../language.ts';
import { specified } from './lines.ts';

type File = ReturnType<typeof parsed>;
type Place = readonly [
  name: string,
  sections: string,
  select: (file: File) => { readonly value: string } | undefined,
];

const V = '"${{vars.v}}"';

const replacedPlaces: readonly Place[] = [
  ['package.description', `  description: ${V}\n`, (f) => f.package.description],
  ['package.url', `  url: ${V}\n`, (f) => f.package.url],
  ['values of package.annotations', `  annotations: {a: ${V}}\n`, (f) => f.package.annotations?.get('a')],
  [
    'package.target-architecture',
    `  target-architecture: [${V}]\n`,
    (f) => f.package.targetArchitecture?.[0],
  ],
  ['copyright.license', `  copyright: [{license: ${V}}]\n`, (f) => f.package.copyright?.[0]?.license],
  [
    'copyright.license-path',
    `  copyright: [{license-path: ${V}}]\n`,
    (f) => f.package.copyright?.[0]?.licensePath,
  ],
  ['copyright.paths', `  copyright: [{paths: [${V}]}]\n`, (f) => f.package.copyright?.[0]?.paths?.[0]],
  [
    'dependencies.runtime',
    `  dependencies: {runtime: [${V}]}\n`,
    (f) => f.package.dependencies?.runtime?.[0],
  ],
  [
    'dependencies.provides',
    `  dependencies: {provides: [${V}]}\n`,
    (f) => f.package.dependencies?.provides?.[0],
  ],
  [
    'dependencies.replaces',
    `  dependencies: {replaces: [${V}]}\n`,
    (f) => f.package.dependencies?.replaces?.[0],
  ],
  [
    'dependencies.provider-priority',
    `  dependencies: {provider-priority: ${V}}\n`,
    (f) => f.package.dependencies?.providerPriority,
  ],
  [
    'dependencies.replaces-priority',
    `  dependencies: {replaces-priority: ${V}}\n`,
    (f) => f.package.dependencies?.replacesPriority,
  ],
  ...(
    ['pre-install', 'post-install', 'pre-deinstall', 'post-deinstall', 'pre-upgrade', 'post-upgrade'] as const
  ).map(
    (name): Place => [
      `scriptlets.${name}`,
      `  scriptlets: {${name}: ${V}}\n`,
      (f) => {
        const value = compiledPackage(f)?.scriptlets.scripts[name];
        return value === undefined ? undefined : { value };
      },
    ],
  ),
  [
    'the script of a trigger',
    `  scriptlets: {trigger: {script: ${V}}}\n`,
    (f) => f.package.scriptlets?.trigger?.script,
  ],
  [
    'the paths of a trigger',
    `  scriptlets: {trigger: {paths: [${V}]}}\n`,
    (f) => f.package.scriptlets?.trigger?.paths?.[0],
  ],
  ['name of a step', `pipeline: [{name: ${V}}]\n`, (f) => f.document.pipeline?.[0]?.name],
  [
    'values of with',
    `pipeline: [{uses: p, with: {a: ${V}}}]\n`,
    (f) => f.document.pipeline?.[0]?.with?.get('a'),
  ],
  ['runs', `pipeline: [{runs: ${V}}]\n`, (f) => f.document.pipeline?.[0]?.runs],
  [
    'needs.packages',
    `pipeline: [{needs: {packages: [${V}]}}]\n`,
    (f) => f.document.pipeline?.[0]?.needs?.packages?.[0],
  ],
  [
    'working-directory',
    `pipeline: [{working-directory: ${V}}]\n`,
    (f) => f.document.pipeline?.[0]?.workingDirectory,
  ],
  [
    'environment of a step',
    `pipeline: [{environment: {A: ${V}}}]\n`,
    (f) => f.document.pipeline?.[0]?.environment?.get('A'),
  ],
  [
    'a nested step',
    `pipeline: [{pipeline: [{pipeline: [{runs: ${V}}]}]}]\n`,
    (f) => f.document.pipeline?.[0]?.pipeline?.[0]?.pipeline?.[0]?.runs,
  ],
  ['subpackages.name', `subpackages: [{name: ${V}}]\n`, (f) => f.subpackages[0]?.section.name],
  [
    'subpackages.description',
    `subpackages: [{name: s, description: ${V}}]\n`,
    (f) => f.subpackages[0]?.section.description,
  ],
  ['subpackages.url', `subpackages: [{name: s, url: ${V}}]\n`, (f) => f.subpackages[0]?.section.url],
  [
    'subpackages.annotations',
    `subpackages: [{name: s, annotations: {a: ${V}}}]\n`,
    (f) => f.subpackages[0]?.section.annotations?.get('a'),
  ],
  [
    'subpackages.dependencies',
    `subpackages: [{name: s, dependencies: {runtime: [${V}]}}]\n`,
    (f) => f.subpackages[0]?.section.dependencies?.runtime?.[0],
  ],
  [
    'subpackages.scriptlets',
    `subpackages: [{name: s, scriptlets: {post-install: ${V}}}]\n`,
    (f) => f.subpackages[0]?.section.scriptlets?.postInstall,
  ],
  [
    'subpackages.pipeline',
    `subpackages: [{name: s, pipeline: [{runs: ${V}}]}]\n`,
    (f) => f.subpackages[0]?.section.pipeline?.[0]?.runs,
  ],
  [
    'the pipeline of a subpackage test',
    `subpackages: [{name: s, test: {pipeline: [{runs: ${V}}]}}]\n`,
    (f) => f.subpackages[0]?.section.test?.pipeline?.[0]?.runs,
  ],
  [
    'the environment of a subpackage test',
    `subpackages: [{name: s, test: {environment: {environment: {A: ${V}}}}}]\n`,
    (f) => f.subpackages[0]?.section.test?.environment?.environment?.get('A'),
  ],
  ['test.pipeline', `test: {pipeline: [{runs: ${V}}]}\n`, (f) => f.document.test?.pipeline?.[0]?.runs],
  [
    'test.environment',
    `test: {environment: {environment: {A: ${V}}}}\n`,
    (f) => f.document.test?.environment?.environment?.get('A'),
  ],
  [
    'contents.packages',
    `environment: {contents: {packages: [${V}]}}\n`,
    (f) => f.document.environment?.contents?.packages?.[0],
  ],
  [
    'contents.repositories',
    `environment: {contents: {repositories: [${V}]}}\n`,
    (f) => f.document.environment?.contents?.repositories?.[0],
  ],
  [
    'contents.build_repositories',
    `environment: {contents: {build_repositories: [${V}]}}\n`,
    (f) => f.document.environment?.contents?.buildRepositories?.[0],
  ],
  [
    'contents.keyring',
    `environment: {contents: {keyring: [${V}]}}\n`,
    (f) => f.document.environment?.contents?.keyring?.[0],
  ],
  [
    'entrypoint.command',
    `environment: {entrypoint: {command: ${V}}}\n`,
    (f) => f.document.environment?.entrypoint?.command,
  ],
  ['cmd', `environment: {cmd: ${V}}\n`, (f) => f.document.environment?.cmd],
  ['stop-signal', `environment: {stop-signal: ${V}}\n`, (f) => f.document.environment?.stopSignal],
  ['work-dir', `environment: {work-dir: ${V}}\n`, (f) => f.document.environment?.workDir],
  ['vcs-url', `environment: {vcs-url: ${V}}\n`, (f) => f.document.environment?.vcsUrl],
  [
    'annotations of the environment',
    `environment: {annotations: {a: ${V}}}\n`,
    (f) => f.document.environment?.annotations?.get('a'),
  ],
  [
    'environment.environment',
    `environment: {environment: {A: ${V}}}\n`,
    (f) => f.document.environment?.environment?.get('A'),
  ],
];

const keptPlaces: readonly Place[] = [
  ['package.commit', `  commit: ${V}\n`, (f) => f.package.commit],
  ['checks.disabled', `  checks: {disabled: [${V}]}\n`, (f) => f.package.checks?.disabled?.[0]],
  ['setcap', `  setcap: [{path: ${V}, reason: ${V}}]\n`, (f) => f.package.setcap?.[0]?.path],
  ['resources', `  resources: {cpu: ${V}}\n`, (f) => f.package.resources?.cpu],
  [
    'copyright.attestation',
    `  copyright: [{attestation: ${V}}]\n`,
    (f) => f.package.copyright?.[0]?.attestation,
  ],
  [
    'copyright.detection-override',
    `  copyright: [{detection-override: ${V}}]\n`,
    (f) => f.package.copyright?.[0]?.detectionOverride,
  ],
  ['uses', `pipeline: [{uses: ${V}}]\n`, (f) => f.document.pipeline?.[0]?.uses],
  ['label', `pipeline: [{label: ${V}}]\n`, (f) => f.document.pipeline?.[0]?.label],
  [
    'inputs',
    `pipeline: [{inputs: {a: {default: ${V}}}}]\n`,
    (f) => f.document.pipeline?.[0]?.inputs?.get('a')?.default,
  ],
  [
    'accounts',
    `environment: {accounts: {users: [{username: ${V}}]}}\n`,
    (f) => f.document.environment?.accounts?.users?.[0]?.username,
  ],
  ['archs', `environment: {archs: [${V}]}\n`, (f) => f.document.environment?.archs?.[0]],
  ['paths', `environment: {paths: [{path: ${V}}]}\n`, (f) => f.document.environment?.paths?.[0]?.path],
];

function compiledPackage(file: File) {
  return compileBuildFile(file, { arch: 'x86_64', lookup: () => undefined }).plan?.packages[0];
}

specified('Literal replacement with the parse map, section 3 step 5: what it is applied to', [
  ...replacedPlaces.map(([name, sections, select]) => ({
    name: `${name}: the value is put in`,
    check: () => assert.equal(select(parsed(withPackage(`${sections}vars: {v: 12}\n`)))?.value, '12'),
  })),
  {
    name: 'name and version of the package',
    check: () => {
      const file = parsed('package: {name: "a-${{vars.v}}", version: "1.${{vars.v}}"}\nvars: {v: 12}\n');
      assert.deepEqual([file.name, file.fullVersion], ['a-12', '1.12-r0']);
    },
  },
]);

specified('Literal replacement with the parse map, section 3 step 5: what it is not applied to', [
  ...keptPlaces.map(([name, sections, select]) => ({
    name: `${name} stays as written`,
    check: () =>
      assert.equal(select(parsed(withPackage(`${sections}vars: {v: 12}\n`)))?.value, '${{vars.v}}'),
  })),
  {
    name: 'cpe stays as written, which its rule then refuses',
    check: () => {
      const found = problems(withPackage(`  cpe: {vendor: a, product: ${V}}\nvars: {v: 12}\n`));
      assert.deepEqual(
        found.map((one) => [one.code, one.message]),
        [['invalid-value', '"${{vars.v}}" cannot stand in a CPE']],
      );
    },
  },
]);

specified(
  'Commit, section 3 step 6: that of the package, else the detected one; a subpackage has its own or that of the package',
  [
    ...(
      [
        ['nothing known', '', undefined, ['', 'own']],
        ['detected', '', 'found', ['found', 'own']],
        ['given', '  commit: given\n', undefined, ['given', 'own']],
        ['given and detected', '  commit: given\n', 'found', ['given', 'own']],
      ] as const
    ).map(([name, section, commit, [main, own]]) => ({
      name,
      check: () => {
        const plan = compiled(
          withPackage(`${section}subpackages: [{name: a}, {name: b, commit: own}]\n`),
          commit === undefined ? {} : { commit },
        );
        assert.deepEqual(
          plan.packages.map((one) => one.commit),
          [main, main, own],
        );
      },
    })),
  ],
);

specified(
  'Values of `vars` inside `vars`, section 5.3; ours: in the order of their dependencies, circles are errors',
  [
    ...(
      [
        ['one that stands before', 'a: x, b: "${{vars.a}}y"', 'xy'],
        ['one that stands after', 'b: "${{vars.a}}y", a: x', 'xy'],
        ['a chain', 'b: "${{vars.c}}1", c: "${{ vars.d }}2", d: "3"', '321'],
        ['the package', 'b: "${{package.name}}-${{package.full-version}}"', 'thing-1.2.3-r0'],
        [
          'what only the compiler knows',
          'b: "${{build.arch}} ${{targets.outdir}}"',
          'x86_64 /home/build/melange-out',
        ],
      ] as const
    ).map(([name, vars, expected]) => ({
      name,
      check: () => {
        const plan = compiled(withPackage(`vars: {${vars}}\npipeline: [{runs: "\${{vars.b}}"}]\n`));
        assert.equal(plan.packages[0]?.steps[0]?.script, expected);
      },
    })),
    ...(
      [
        ['itself', 'a: "${{vars.a}}"', 'invalid-value'],
        ['a circle', 'a: "${{vars.b}}", b: "${{vars.c}}", c: "${{vars.a}}"', 'invalid-value'],
        ['an unknown one', 'a: "${{vars.z}}"', 'unknown-variable'],
      ] as const
    ).map(([name, vars, code]) => ({
      name: `${name} is an error`,
      check: () => assert.equal(problems(withPackage(`vars: {${vars}}\n`))[0]?.code, code),
    })),
  ],
);

/** The compiled build file as it is kept in packages, `.melange.yaml`. It can be built again. */
import { dump } from 'js-yaml';
import { sortedUnique } from '../apk/byte-order.ts';
import type { BuildFile } from './build-file.ts';
import type { CompiledPackage } from './compile.ts';
import { type CompiledStep, collectNeeds } from './compile-step.ts';
import type { Text } from './place.ts';
import type { BuildPlan } from './plan.ts';
import { contentsShape, documentShape, environmentShape, type Step, type TestSection } from './schema.ts';
import { keysOf } from './struct.ts';

/** The environment as it was installed. */
export interface LockedEnvironment {
  /** `name=version` of everything installed. */
  readonly packages: readonly string[];
  /** Without credentials. */
  readonly repositories: readonly string[];
  readonly keyring?: readonly string[];
}

/** Text of `.melange.yaml`: keys in schema order, empty values left out, equal for all packages of a build. */
export function melangeYaml(plan: BuildPlan, locked: LockedEnvironment): string {
  const keyring = locked.keyring ?? [];
  return printConfiguration(plan, {
    ...(locked.repositories.length === 0 ? {} : { repositories: [...locked.repositories] }),
    ...(keyring.length === 0 ? {} : { keyring: [...keyring] }),
    packages: sortedUnique(locked.packages),
  });
}

/** The same before the environment is solved: its contents as written, with the packages that steps need. */
export function compiledYaml(plan: BuildPlan): string {
  const { environment } = plan.configuration;
  const written = isRecord(environment) && isRecord(environment['contents']) ? environment['contents'] : {};
  const { packages } = plan.environment;
  return printConfiguration(plan, { ...written, ...(packages.length === 0 ? {} : { packages }) });
}

function printConfiguration(plan: BuildPlan, contents: Readonly<Record<string, unknown>>): string {
  const { environment } = plan.configuration;
  const others = isRecord(environment) ? environment : {};
  const planned: Readonly<Record<string, unknown>> = { ...others, contents, archs: [plan.arch] };
  const ordered = keysOf(environmentShape).flatMap((key) =>
    key in planned ? [[key, planned[key]] as const] : [],
  );
  const first = { package: undefined, environment: undefined };
  const configuration = { ...first, ...plan.configuration, environment: Object.fromEntries(ordered) };
  return dump(configuration, { lineWidth: -1, noRefs: true, quoteStyle: 'double' });
}

interface RecordInput {
  readonly packages: readonly CompiledPackage[];
  readonly commit: string;
}

/** The build file with the compiled steps in place of the written ones, as plain data. */
export function recordConfiguration(buildFile: BuildFile, input: RecordInput): Record<string, unknown> {
  const { document, package: section } = buildFile;
  const [main, ...subpackages] = input.packages;
  const commit: Text | undefined =
    input.commit === '' ? undefined : { value: input.commit, place: section.place };
  const encoded = documentShape.encode({
    ...document,
    package: { ...section, commit },
    pipeline: recordedSteps(main?.steps),
    subpackages: subpackages.flatMap(({ subpackage, steps, testSteps }) =>
      subpackage === undefined
        ? []
        : {
            ...subpackage.section,
            if: undefined,
            pipeline: recordedSteps(steps),
            test: recordTest(subpackage.section.test, testSteps),
          },
    ),
    test: recordTest(document.test, main?.testSteps ?? []),
  });
  return isRecord(encoded) ? encoded : {};
}

function recordTest(test: TestSection | undefined, steps: readonly CompiledStep[]): TestSection | undefined {
  return (
    test && {
      ...test,
      environment: withPackages(test, collectNeeds(steps)),
      pipeline: recordedSteps(steps),
    }
  );
}

/** What the steps of a test need becomes part of its own environment. */
function withPackages(test: TestSection, needs: readonly string[]): TestSection['environment'] {
  const { environment, place } = test;
  const given = environment?.contents?.packages ?? [];
  const listed = new Set(given.map((one) => one.value));
  const added = sortedUnique(needs.filter((one) => !listed.has(one)));
  if (added.length === 0) return environment;
  const packages = [...given, ...added.map((value) => ({ value, place }))];
  return {
    ...(environment ?? environmentShape.empty(place)),
    contents: { ...(environment?.contents ?? contentsShape.empty(place)), packages },
  };
}

/** The needs of the steps themselves are part of the environment already. */
function recordedSteps(steps: readonly CompiledStep[] | undefined): Step[] | undefined {
  return steps?.map((step) => ({ ...step.recorded, needs: undefined }));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

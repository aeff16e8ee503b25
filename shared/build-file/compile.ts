/** From a parsed build file to the plan for one architecture. */
import {
  type Architecture,
  architectureVariables,
  type LibcFlavor,
  targetsArchitecture,
} from './architecture.ts';
import { type BuildFile, type Subpackage, textValues } from './build-file.ts';
import { compileCondition } from './compile-condition.ts';
import {
  type CompileContext,
  type CompiledStep,
  checkAssertions,
  collectNeeds,
  compileSteps,
  type StepScope,
  WORKSPACE,
} from './compile-step.ts';
import { createReporter, type Diagnostic, inOrder } from './diagnostic.ts';
import type { PipelineLookup } from './pipeline-files.ts';
import type { Text } from './place.ts';
import type { BuildPlan, PlannedEnvironment, PlannedPackage, PlannedTest } from './plan.ts';
import { buildVariables, environmentVariables, planEnvironment } from './plan-environment.ts';
import { type Inherited, planPackage } from './plan-package.ts';
import { planSteps, requiredFiles } from './plan-steps.ts';
import { recordConfiguration } from './recorded-form.ts';
import type { TestSection } from './schema.ts';
import type { ShellFragment } from './shell-fragments.ts';
import { createExpansionBudget, createScope } from './variables.ts';
import { resolveVariables } from './vars.ts';

const OUTPUT = `${WORKSPACE}/melange-out`;

/** Zip archives cannot hold earlier times, and tools that write them fail: 1980-01-01. */
const EARLIEST_SOURCE_DATE = 315_532_800;

/** Tests are compiled for packages as they are published, whatever the options of the build. */
const TEST_OPTIONS = { buildOptions: [], libcFlavor: 'gnu' } as const;

export interface CompileOptions {
  readonly arch: Architecture;
  /** Local pipeline files; those that come with Carryall need no lookup. */
  readonly lookup: PipelineLookup;
  /** Names of build options to enable. Their vars are seen by whatever parsing has not replaced already. */
  readonly buildOptions?: readonly string[];
  /** C library of `host.triplet.*`; default `gnu`. */
  readonly libcFlavor?: LibcFlavor;
  /** Commit of the repository that holds the build file, for a `package.commit` that is not given. */
  readonly commit?: string;
  /** Unix seconds; default: SOURCE_DATE_EPOCH is left to the caller. */
  readonly sourceDateEpoch?: number;
}

export interface CompileResult {
  /** Absent when there are errors, or when the architecture is not targeted. */
  readonly plan?: BuildPlan;
  readonly skipped?: { readonly reason: string };
  /** Shell of the steps, for `checkShell`. */
  readonly fragments: readonly ShellFragment[];
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Loads the pipelines, replaces the variables, evaluates the conditions. The same input gives the same plan. Problems
 * (`unknown-pipeline`, `unknown-variable`, `unknown-key`, `missing-value`, `invalid-value`, `invalid-condition`,
 * `build-file-too-large`) are diagnostics; nothing is thrown. The shell of the steps is not looked at: `checkShell` does.
 */
export function compileBuildFile(buildFile: BuildFile, options: CompileOptions): CompileResult {
  const { arch } = options;
  if (!targetsArchitecture(buildFile.targetArchitectures, arch)) {
    const targets = buildFile.targetArchitectures.join(', ');
    return {
      skipped: { reason: `${buildFile.name} is built for ${targets}, not for ${arch}` },
      fragments: [],
      diagnostics: [],
    };
  }
  const reporter = createReporter();
  const context: CompileContext = {
    lookup: options.lookup,
    reporter,
    budget: createExpansionBudget(),
    steps: 0,
    fragments: [],
  };
  const plan = compilePlan(buildFile, options, context);
  const diagnostics = inOrder(reporter.diagnostics, buildFile.source.file);
  const { fragments } = context;
  return reporter.errors > 0 ? { fragments, diagnostics } : { plan, fragments, diagnostics };
}

/** A package with its compiled steps, before it is put into the plan. */
export interface CompiledPackage {
  readonly name: string;
  readonly subpackage: Subpackage | undefined;
  readonly steps: readonly CompiledStep[];
  readonly testSection: TestSection | undefined;
  readonly testSteps: readonly CompiledStep[];
  /** False for a subpackage whose condition is false: its needs count, but it is not built. */
  readonly emitted: boolean;
}

function compilePlan(buildFile: BuildFile, options: CompileOptions, context: CompileContext): BuildPlan {
  const { document, package: section, name, version, epoch, fullVersion } = buildFile;
  const globals = globalVariables(buildFile, options, context);
  const isPlain = (options.buildOptions?.length ?? 0) === 0 && options.libcFlavor !== 'musl';
  const testGlobals = isPlain
    ? globals
    : globalVariables(buildFile, { ...options, ...TEST_OPTIONS }, context);
  const main: CompiledPackage = {
    name,
    subpackage: undefined,
    steps: compileSteps(document.pipeline, packageScope(globals, buildFile), context),
    testSection: document.test,
    testSteps: compileSteps(document.test?.pipeline, packageScope(testGlobals, buildFile), context),
    emitted: true,
  };
  const subpackages = buildFile.subpackages.map((one) =>
    compileSubpackage(one, { globals, testGlobals, buildFile, context }),
  );
  const emitted = [main, ...subpackages.filter((one) => one.emitted)];
  for (const { steps, testSteps } of emitted) checkAssertions([...steps, ...testSteps], context.reporter);
  const environment = planBuildEnvironment(buildFile, options, [main, ...subpackages]);
  const commit = section.commit?.value || options.commit || '';
  return {
    name,
    version,
    epoch,
    fullVersion,
    arch: options.arch,
    ...(section.timeout === undefined ? {} : { timeoutMs: section.timeout.ms }),
    resources: Object.fromEntries(
      Object.entries({
        cpu: section.resources?.cpu,
        cpumodel: section.resources?.cpumodel,
        memory: section.resources?.memory,
        disk: section.resources?.disk,
      }).flatMap(([key, text]) => (text === undefined || text.value === '' ? [] : [[key, text.value]])),
    ),
    packages: emitted.map((one) => planOne(one, buildFile, commit)),
    environment,
    requiredFiles: emitted.flatMap((one) => requiredFiles(one.steps)),
    configuration: recordConfiguration(buildFile, { packages: emitted, commit }),
  };
}

interface PackageContext {
  readonly globals: ReadonlyMap<string, string>;
  readonly testGlobals: ReadonlyMap<string, string>;
  readonly buildFile: BuildFile;
  readonly context: CompileContext;
}

function compileSubpackage(
  subpackage: Subpackage,
  { globals, testGlobals, buildFile, context }: PackageContext,
): CompiledPackage {
  const { section } = subpackage;
  const scope = packageScope(globals, buildFile, subpackage);
  const condition = compileCondition(section.if, createScope(scope.globals, scope.conditionOnly), context);
  return {
    name: subpackage.name,
    subpackage,
    steps: compileSteps(section.pipeline, scope, context),
    testSection: section.test,
    testSteps: compileSteps(
      section.test?.pipeline,
      packageScope(testGlobals, buildFile, subpackage),
      context,
    ),
    emitted: condition.holds,
  };
}

/** Variables that all packages of the file share. */
function globalVariables(
  buildFile: BuildFile,
  options: CompileOptions,
  context: CompileContext,
): ReadonlyMap<string, string> {
  const { name, version, epoch, fullVersion, document } = buildFile;
  const globals = new Map([
    ['package.name', name],
    ['package.version', version],
    ['package.epoch', String(epoch)],
    ['package.full-version', fullVersion],
    ['package.srcdir', WORKSPACE],
    ['targets.outdir', OUTPUT],
    ['targets.destdir', `${OUTPUT}/${name}`],
    [`targets.package.${name}`, `${OUTPUT}/${name}`],
    ...buildFile.subpackages.map((one) => [`targets.package.${one.name}`, `${OUTPUT}/${one.name}`] as const),
    ...architectureVariables(options.arch, options.libcFlavor ?? 'gnu'),
  ]);
  const enabled = new Set(options.buildOptions);
  for (const option of new Set([...(document.options?.keys() ?? []), ...enabled])) {
    globals.set(`options.${option}.enabled`, enabled.has(option) ? 'true' : 'false');
  }
  const variables = new Map<string, Text>(buildFile.variables);
  for (const option of enabled) {
    for (const [key, text] of document.options?.get(option)?.vars ?? []) variables.set(`vars.${key}`, text);
  }
  const outer = createScope(new Map(globals));
  const resolved = resolveVariables(variables, { outer, unknown: 'report', ...context });
  for (const [key, value] of resolved) globals.set(key, value);
  return globals;
}

/** What the steps of a package see: of the main package, or of a subpackage. */
function packageScope(
  globals: ReadonlyMap<string, string>,
  buildFile: BuildFile,
  subpackage?: Subpackage,
): StepScope {
  const name = subpackage?.name ?? buildFile.name;
  const directory = `${OUTPUT}/${name}`;
  const own: (readonly [string, string])[] = [
    ['context.name', name],
    ['targets.contextdir', directory],
  ];
  if (subpackage !== undefined) own.push(['subpkg.name', name], ['targets.subpkgdir', directory]);
  return {
    globals: createScope(new Map(own), globals),
    conditionOnly: createScope(subpackage?.rangeValues ?? new Map(), buildFile.parseValues),
    inputs: new Map(),
    workingDirectory: WORKSPACE,
    environment: new Map(),
    applies: true,
    name: '',
    depth: 0,
    origin: undefined,
    pipelines: [],
  };
}

function planBuildEnvironment(
  buildFile: BuildFile,
  options: CompileOptions,
  packages: readonly CompiledPackage[],
): PlannedEnvironment {
  const { document } = buildFile;
  const section = document.environment;
  let wanted = textValues(section?.contents?.packages);
  for (const option of new Set(options.buildOptions)) {
    const change = document.options?.get(option)?.environment?.contents?.packages;
    wanted = wanted.concat(textValues(change?.add));
    for (const one of textValues(change?.remove)) {
      const index = wanted.indexOf(one);
      if (index >= 0) wanted.splice(index, 1);
    }
  }
  const variables = buildVariables(section);
  if (options.sourceDateEpoch !== undefined) {
    variables['SOURCE_DATE_EPOCH'] ??= String(Math.max(EARLIEST_SOURCE_DATE, options.sourceDateEpoch));
  }
  return planEnvironment({
    section,
    packages: wanted.concat(packages.flatMap((one) => collectNeeds(one.steps))),
    variables,
    capabilities: capabilitiesOf(buildFile),
  });
}

function capabilitiesOf({ document }: BuildFile): PlannedEnvironment['capabilities'] {
  return { add: textValues(document.capabilities?.add), drop: textValues(document.capabilities?.drop) };
}

function planOne(compiled: CompiledPackage, buildFile: BuildFile, commit: string): PlannedPackage {
  const { package: section, fullVersion } = buildFile;
  const own = compiled.subpackage?.section;
  const inherited: Inherited = {
    fullVersion,
    commit: own?.commit?.value || commit,
    copyright: section.copyright,
    cpe: section.cpe,
  };
  const test = planTest(compiled, buildFile);
  return {
    ...planPackage(own ?? section, inherited),
    outputDirectory: `${OUTPUT}/${compiled.name}`,
    steps: planSteps(compiled.steps),
    ...(test === undefined ? {} : { test }),
  };
}

/** The test of a package: its own packages, the package itself and what the steps need, nothing of the build. */
function planTest(compiled: CompiledPackage, buildFile: BuildFile): PlannedTest | undefined {
  const steps = planSteps(compiled.testSteps);
  if (steps.length === 0) return undefined;
  const section = compiled.testSection?.environment;
  const environment = planEnvironment({
    section,
    packages: [
      ...textValues(section?.contents?.packages),
      compiled.name,
      ...collectNeeds(compiled.testSteps),
    ],
    variables: { ...buildVariables(buildFile.document.environment), ...environmentVariables(section) },
    capabilities: capabilitiesOf(buildFile),
  });
  return { environment, steps };
}

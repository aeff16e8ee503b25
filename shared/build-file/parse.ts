/** From text to a checked build file: everything that does not depend on an architecture or on pipeline files. */
import type { BuildFile, Subpackage } from './build-file.ts';
import { createReporter, type Diagnostic, inOrder, type Reporter } from './diagnostic.ts';
import { parseEnvironmentFile } from './environment-file.ts';
import { createSource, type Text } from './place.ts';
import { expandRanges, type SubpackageTemplate } from './ranges.ts';
import {
  type Dependencies,
  type Document,
  documentShape,
  type EnvironmentSection,
  environmentShape,
  type PackageSection,
  subpackageShape,
  varsFileShape,
} from './schema.ts';
import type { TextMap } from './shape.ts';
import { parseSource, type SourceText } from './source.ts';
import { applyTransforms } from './transforms.ts';
import { validateBuildFile } from './validate.ts';
import {
  createExpansionBudget,
  createScope,
  type ExpansionBudget,
  replaceKnown,
  type Scope,
  substituteText,
} from './variables.ts';
import { resolveVariables } from './vars.ts';

export interface ParseOptions extends SourceText {
  /** A flat mapping whose entries overwrite `vars`. */
  readonly varsFile?: SourceText | undefined;
  /** In dotenv syntax, for the build's environment. The build file wins over all, an earlier file over a later one. */
  readonly environmentFiles?: readonly SourceText[] | undefined;
}

export interface ParseResult {
  /** Present when there are no errors. */
  readonly buildFile?: BuildFile;
  readonly diagnostics: readonly Diagnostic[];
}

/** Parses and validates a build file. Never throws, whatever the text. */
export function parseBuildFile(options: ParseOptions): ParseResult {
  const reporter = createReporter();
  const buildFile = parse(options, reporter);
  const diagnostics = inOrder(reporter.diagnostics, options.file);
  return buildFile === undefined || reporter.errors > 0 ? { diagnostics } : { buildFile, diagnostics };
}

interface ParseContext {
  readonly reporter: Reporter;
  readonly budget: ExpansionBudget;
}

function parse(options: ParseOptions, reporter: Reporter): BuildFile | undefined {
  const document = decodeDocument(options, reporter);
  const vars = collectVars(options, document, reporter);
  const extra = collectEnvironment(options.environmentFiles ?? [], reporter);
  if (document === undefined || reporter.errors > 0) return undefined;
  const section = document.package;
  if (section === undefined) {
    reporter.report(document.place, {
      code: 'missing-value',
      message: 'the section "package" is missing',
      hint: 'a build file begins with package: and, indented below it, name: and version:',
    });
    return undefined;
  }

  const context: ParseContext = { reporter, budget: createExpansionBudget() };
  const { variables, values } = parseTimeValues(section, { document, vars, context });
  const plain = documentShape.replace({ ...document, subpackages: undefined }, replacer(values, context));
  const scope = createScope(values);
  const replaced = plain.package ?? section;
  const packageSection = {
    ...replaced,
    dependencies: strictDependencies(replaced.dependencies, scope, context),
  };
  const templates = expandRanges(document, reporter);
  const version = packageSection.version?.value ?? '';
  const epoch = packageSection.epoch ?? 0;
  const buildFile: BuildFile = {
    source: createSource(options.file, options.text),
    name: packageSection.name?.value ?? '',
    version,
    epoch,
    fullVersion: `${version}-r${epoch}`,
    targetArchitectures: (packageSection.targetArchitecture ?? []).map((one) => one.value),
    package: packageSection,
    document: {
      ...plain,
      package: packageSection,
      environment: withEnvironment(strictPackages(plain.environment, scope, context), extra),
      test: plain.test && {
        ...plain.test,
        environment: strictPackages(plain.test.environment, scope, context),
      },
      data: undefined,
      vars: document.vars === undefined && vars.size === 0 ? undefined : vars,
    },
    subpackages: templates.map((template) => expandSubpackage(template, values, context)),
    variables,
    parseValues: values,
  };
  validateBuildFile(buildFile, reporter);
  return buildFile;
}

function decodeDocument(options: ParseOptions, reporter: Reporter): Document | undefined {
  const root = parseSource(options, reporter);
  if (root !== undefined) return documentShape.decode(root, { reporter, unknownKeys: 'refuse' });
  if (reporter.errors === 0) {
    const source = createSource(options.file, options.text);
    reporter.report({ source, start: 0, end: 0 }, { code: 'missing-value', message: 'the file is empty' });
  }
  return undefined;
}

/** `vars` with the entries of the vars file over them. */
function collectVars(options: ParseOptions, document: Document | undefined, reporter: Reporter): TextMap {
  const root = options.varsFile === undefined ? undefined : parseSource(options.varsFile, reporter);
  const fromFile =
    root === undefined ? undefined : varsFileShape.decode(root, { reporter, unknownKeys: 'refuse' });
  return new Map([...(document?.vars ?? []), ...(fromFile ?? [])]);
}

/** The variables of all environment files together; those of an earlier file win. */
function collectEnvironment(files: readonly SourceText[], reporter: Reporter): TextMap {
  return new Map(files.toReversed().flatMap((file) => [...parseEnvironmentFile(file, reporter)]));
}

/** The environment with variables added that it does not set itself. */
function withEnvironment(
  section: EnvironmentSection | undefined,
  extra: TextMap,
): EnvironmentSection | undefined {
  const [first] = extra.values();
  if (first === undefined) return section;
  const base = section ?? environmentShape.empty(first.keyPlace);
  return { ...base, environment: new Map([...extra, ...(base.environment ?? [])]) };
}

interface ParseTimeInput {
  readonly document: Document;
  readonly vars: ReadonlyMap<string, Text>;
  readonly context: ParseContext;
}

/** What may be referred to while parsing: `package.*`, `vars.*` and the results of the transforms. */
function parseTimeValues(
  section: PackageSection,
  { document, vars, context }: ParseTimeInput,
): Pick<BuildFile, 'variables'> & { readonly values: ReadonlyMap<string, string> } {
  const version = section.version?.value ?? '';
  const epoch = section.epoch ?? 0;
  const values = new Map([
    ['package.name', section.name?.value ?? ''],
    ['package.version', version],
    ['package.description', section.description?.value ?? ''],
    ['package.epoch', String(epoch)],
    ['package.full-version', `${version}-r${epoch}`],
  ]);
  const written = new Map([...vars].map(([name, text]) => [`vars.${name}`, text]));
  const resolved = resolveVariables(written, {
    outer: createScope(new Map(values)),
    unknown: 'keep',
    ...context,
  });
  for (const [name, value] of resolved) values.set(name, value);
  applyTransforms(document.varTransforms ?? [], values, context);

  const transforms = new Map(document.varTransforms?.map((one) => [`vars.${one.to?.value}`, one]));
  const variables = new Map<string, Text>();
  for (const [name, value] of values) {
    if (!name.startsWith('vars.')) continue;
    const place = transforms.get(name)?.place ?? written.get(name)?.place ?? section.place;
    variables.set(name, { value, place });
  }
  return { variables, values };
}

/** Replaces the known names in a text; everything else stays for the compilation. */
function replacer(values: Pick<Scope, 'get'>, context: ParseContext): (text: Text) => Text {
  return (text) => {
    if (!text.value.includes('${{')) return text;
    const value = replaceKnown(text.value, values);
    context.budget.remaining -= value.length;
    if (context.budget.remaining >= 0) return { value, place: text.place };
    context.reporter.report(text.place, {
      code: 'build-file-too-large',
      message: 'the build file becomes too large when its variables are replaced',
    });
    return { value: '', place: text.place };
  };
}

function expandSubpackage(
  template: SubpackageTemplate,
  values: ReadonlyMap<string, string>,
  context: ParseContext,
): Subpackage {
  const { rangeValues } = template;
  const scope = createScope(rangeValues, values);
  const section = subpackageShape.replace(template.section, replacer(scope, context));
  return {
    name: section.name?.value ?? '',
    rangeValues,
    section: {
      ...section,
      dependencies: strictDependencies(section.dependencies, scope, context),
      test: section.test && {
        ...section.test,
        environment: strictPackages(section.test.environment, scope, context),
      },
    },
  };
}

/** In these lists an unknown name is an error, since nothing replaces it later. */
function strictDependencies(
  dependencies: Dependencies | undefined,
  scope: Scope,
  context: ParseContext,
): Dependencies | undefined {
  if (dependencies === undefined) return undefined;
  const strict = strictText(scope, context);
  return {
    ...dependencies,
    runtime: dependencies.runtime?.map(strict),
    provides: dependencies.provides?.map(strict),
    replaces: dependencies.replaces?.map(strict),
    providerPriority: dependencies.providerPriority && strict(dependencies.providerPriority),
    replacesPriority: dependencies.replacesPriority && strict(dependencies.replacesPriority),
  };
}

function strictPackages(
  environment: EnvironmentSection | undefined,
  scope: Scope,
  context: ParseContext,
): EnvironmentSection | undefined {
  const contents = environment?.contents;
  if (environment === undefined || contents === undefined) return environment;
  return {
    ...environment,
    contents: { ...contents, packages: contents.packages?.map(strictText(scope, context)) },
  };
}

function strictText(scope: Scope, context: ParseContext): (text: Text) => Text {
  return (text) => ({ value: substituteText(text, { scope, ...context }), place: text.place });
}

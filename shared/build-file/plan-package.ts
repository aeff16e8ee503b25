/** What is known of a package before it is built. */
import { textValues } from './build-file.ts';
import type {
  PlannedCopyright,
  PlannedDependencies,
  PlannedOptions,
  PlannedPackage,
  PlannedScriptlets,
  PlannedSetcap,
  ScriptletName,
} from './plan.ts';
import { sortedRecord } from './plan-environment.ts';
import { parseDecimal } from './scalars.ts';
import type {
  Copyright,
  Cpe,
  Dependencies,
  PackageOptions,
  PackageSection,
  Scriptlets,
  Setcap,
  SubpackageSection,
} from './schema.ts';

/** What main packages and subpackages declare alike. */
type Declared = Pick<
  PackageSection & SubpackageSection,
  | 'name'
  | 'description'
  | 'url'
  | 'dependencies'
  | 'options'
  | 'scriptlets'
  | 'setcap'
  | 'checks'
  | 'annotations'
>;

/** What a subpackage has from the main package. */
export interface Inherited {
  readonly fullVersion: string;
  readonly commit: string;
  readonly copyright: readonly Copyright[] | undefined;
  readonly cpe: Cpe | undefined;
}

export function planPackage(
  declared: Declared,
  inherited: Inherited,
): Omit<PlannedPackage, 'outputDirectory' | 'steps' | 'test'> {
  return {
    name: declared.name?.value ?? '',
    fullVersion: inherited.fullVersion,
    description: declared.description?.value ?? '',
    url: declared.url?.value ?? '',
    commit: inherited.commit,
    dependencies: planDependencies(declared.dependencies),
    options: planOptions(declared.options),
    scriptlets: planScriptlets(declared.scriptlets),
    setcap: (declared.setcap ?? []).map(planSetcap),
    copyright: (inherited.copyright ?? []).map(planCopyright),
    checksDisabled: textValues(declared.checks?.disabled),
    annotations: sortedRecord(
      [...(declared.annotations ?? [])].map(([key, { value }]) => [key, value] as const),
    ),
    cpe: planCpe(inherited.cpe),
  };
}

function planDependencies(dependencies: Dependencies | undefined): PlannedDependencies {
  const providerPriority = parseDecimal(dependencies?.providerPriority?.value ?? '');
  const replacesPriority = parseDecimal(dependencies?.replacesPriority?.value ?? '');
  return {
    runtime: textValues(dependencies?.runtime),
    provides: textValues(dependencies?.provides),
    replaces: textValues(dependencies?.replaces),
    ...(providerPriority === undefined ? {} : { providerPriority }),
    ...(replacesPriority === undefined ? {} : { replacesPriority }),
  };
}

function planOptions(options: PackageOptions | undefined): PlannedOptions {
  return {
    noProvides: options?.noProvides ?? false,
    noDepends: options?.noDepends ?? false,
    noCommands: options?.noCommands ?? false,
    noVersionedShlibDeps: options?.noVersionedShlibDeps ?? false,
  };
}

function planScriptlets(scriptlets: Scriptlets | undefined): PlannedScriptlets {
  const scripts: Partial<Record<ScriptletName, string>> = {};
  const add = (name: ScriptletName, script: string | undefined): void => {
    if (script !== undefined && script !== '') scripts[name] = script;
  };
  add('pre-install', scriptlets?.preInstall?.value);
  add('post-install', scriptlets?.postInstall?.value);
  add('pre-deinstall', scriptlets?.preDeinstall?.value);
  add('post-deinstall', scriptlets?.postDeinstall?.value);
  add('pre-upgrade', scriptlets?.preUpgrade?.value);
  add('post-upgrade', scriptlets?.postUpgrade?.value);
  const trigger = scriptlets?.trigger;
  const script = trigger?.script?.value ?? '';
  const paths = textValues(trigger?.paths);
  return script === '' && paths.length === 0 ? { scripts } : { scripts, trigger: { script, paths } };
}

function planSetcap(entry: Setcap): PlannedSetcap {
  const add = [...(entry.add ?? [])].flatMap(([names, { value }]) =>
    names.split(',').map((name) => [name, value] as const),
  );
  return { path: entry.path?.value ?? '', add: sortedRecord(add) };
}

function planCopyright(entry: Copyright): PlannedCopyright {
  return {
    license: entry.license?.value ?? '',
    paths: textValues(entry.paths),
    attestation: entry.attestation?.value ?? '',
    licensePath: entry.licensePath?.value ?? '',
    detectionOverride: entry.detectionOverride?.value ?? '',
  };
}

function planCpe(cpe: Cpe | undefined): Record<string, string> {
  if ((cpe?.vendor?.value ?? '') === '') return {};
  const fields = {
    part: cpe?.part,
    vendor: cpe?.vendor,
    product: cpe?.product,
    edition: cpe?.edition,
    language: cpe?.language,
    sw_edition: cpe?.swEdition,
    target_sw: cpe?.targetSw,
    target_hw: cpe?.targetHw,
    other: cpe?.other,
  };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, text]) =>
      text === undefined || text.value === '' ? [] : [[name, text.value] as const],
    ),
  );
}

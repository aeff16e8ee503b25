/** The rules a build file must keep beyond its form (melange build file, section 4). All breaches are reported. */
import { isValidVersion } from '../apk/version.ts';
import type { BuildFile } from './build-file.ts';
import type { Reporter } from './diagnostic.ts';
import { type Place, positionOf, type Text } from './place.ts';
import { parseDecimal } from './scalars.ts';
import type { Accounts, Cpe, Dependencies, Setcap, Step } from './schema.ts';
import { didYouMean } from './spelling.ts';
import { keyPlace } from './struct.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9+_.-]*$/;

export function validateBuildFile(buildFile: BuildFile, reporter: Reporter): void {
  const { document, package: section } = buildFile;
  const packagePlace = keyPlace(document, 'package');
  validateName(section.name, { what: 'package', fallback: packagePlace, buildFile, reporter });
  validateVersion(section.version, packagePlace, reporter);
  validatePriorities(section.dependencies, reporter);
  validateSteps(document.pipeline, reporter);
  validateSetcap(section.setcap, reporter);
  validateAccounts(document.environment?.accounts, reporter);
  validateAccounts(document.test?.environment?.accounts, reporter);

  const places = new Map<string, Place>([[buildFile.name, section.name?.place ?? packagePlace]]);
  for (const { name, section: subpackage } of buildFile.subpackages) {
    validateName(subpackage.name, { what: 'subpackage', fallback: subpackage.place, buildFile, reporter });
    const place = subpackage.name?.place ?? subpackage.place;
    const first = places.get(name);
    if (first === undefined) places.set(name, place);
    else if (name !== '') {
      reporter.report(place, {
        code: 'invalid-value',
        message: `two packages are named "${name}"`,
        hint: `the first is in line ${positionOf(first).line}`,
      });
    }
    validatePriorities(subpackage.dependencies, reporter);
    validateSteps(subpackage.pipeline, reporter);
    validateSetcap(subpackage.setcap, reporter);
    validateAccounts(subpackage.test?.environment?.accounts, reporter);
  }
  validateCpe(section.cpe, reporter);
  warnOfNoEffect(document, reporter);
}

/** What decodes and means nothing, so that its author does not wait for it. */
function warnOfNoEffect({ update, environment }: BuildFile['document'], reporter: Reporter): void {
  const warn = (place: Place, message: string): void =>
    reporter.report(place, { code: 'invalid-value', severity: 'warning', message });
  const period = update?.schedule?.period;
  if (period !== undefined && !['', 'daily', 'weekly', 'monthly'].includes(period.value)) {
    warn(period.place, `no robot updates "${period.value}": a period is daily, weekly or monthly`);
  }
  const image = environment?.contents?.baseimage?.image;
  if (image !== undefined && image.value !== '') {
    warn(image.place, 'the base image is not used: an environment is made of packages alone');
  }
}

interface NameContext {
  readonly what: 'package' | 'subpackage';
  /** Where a missing name is reported. */
  readonly fallback: Place;
  readonly buildFile: BuildFile;
  readonly reporter: Reporter;
}

function validateName(name: Text | undefined, context: NameContext): void {
  const { what, fallback, buildFile, reporter } = context;
  if (name === undefined || name.value === '') {
    const place = name?.place ?? fallback;
    reporter.report(place, { code: 'missing-value', message: `the ${what} has no name` });
    return;
  }
  if (NAME.test(name.value)) return;
  const reference = /\$\{\{([^{}]*)\}\}/.exec(name.value)?.[1]?.trim();
  if (reference !== undefined) {
    const known = [...buildFile.parseValues.keys(), 'range.key', 'range.value'];
    reporter.report(name.place, {
      code: 'unknown-variable',
      message: `the name of a ${what} cannot use the variable ${reference}`,
      hint: didYouMean(reference, known) ?? 'names may use package.*, vars.* and, with a range, range.*',
    });
    return;
  }
  reporter.report(name.place, {
    code: 'invalid-value',
    message: `"${name.value}" cannot be the name of a ${what}`,
    hint: 'a name starts with a letter or digit, followed by letters, digits and + _ . -',
  });
}

function validateVersion(version: Text | undefined, packagePlace: Place, reporter: Reporter): void {
  if (version === undefined || version.value === '') {
    const place = version?.place ?? packagePlace;
    reporter.report(place, {
      code: 'missing-value',
      message: 'the package has no version',
      hint: 'add "version: …" to the section "package"',
    });
  } else if (!isValidVersion(`${version.value}-r0`)) {
    reporter.report(version.place, {
      code: 'invalid-version',
      message: `"${version.value}" is not a version that apk understands`,
      hint: versionHint(version.value),
    });
  }
}

function versionHint(version: string): string {
  if (/-r[0-9]+$/.test(version)) return 'the release number goes into "epoch"';
  const likely = version.replace(/^v(?=[0-9])/, '').replace(/[-.](?=(?:alpha|beta|pre|rc|p)\.?[0-9]*$)/, '_');
  return likely !== version && isValidVersion(`${likely}-r0`)
    ? `did you mean "${likely}"?`
    : 'for example 1.2.3, 1.2b, 1.2_rc1 or 1.2_git20260101';
}

function validatePriorities(dependencies: Dependencies | undefined, reporter: Reporter): void {
  for (const priority of [dependencies?.providerPriority, dependencies?.replacesPriority]) {
    if (priority === undefined || priority.value === '' || parseDecimal(priority.value) !== undefined)
      continue;
    reporter.report(priority.place, {
      code: 'invalid-value',
      message: `a priority is a whole number, not "${priority.value}"`,
    });
  }
}

function validateSteps(steps: readonly Step[] | undefined, reporter: Reporter): void {
  for (const step of steps ?? []) {
    const uses = step.uses?.value ?? '';
    const runs = step.runs?.value ?? '';
    const hasArguments = (step.with?.size ?? 0) > 0;
    if (hasArguments && uses === '' && runs === '') {
      reporter.report(keyPlace(step, 'with'), {
        code: 'invalid-value',
        message: '"with" gives arguments to a pipeline, but the step has no "uses"',
      });
    }
    if (uses !== '' && runs !== '') {
      reporter.report(keyPlace(step, 'runs'), {
        code: 'invalid-value',
        message: 'a step has either "uses" or "runs", not both',
        hint: 'make two steps of it',
      });
    } else if (hasArguments && runs !== '') {
      reporter.report(keyPlace(step, 'with'), {
        code: 'invalid-value',
        message: '"with" gives arguments to a pipeline, but the step has "runs"',
        hint: 'put the values into "vars" or "environment"',
      });
    }
    if (uses !== '' && (step.pipeline?.length ?? 0) > 0) {
      reporter.report(keyPlace(step, 'uses'), {
        code: 'invalid-value',
        severity: 'warning',
        message: `"uses: ${uses}" is not looked up, since the step brings its own "pipeline"`,
      });
    }
    validateSteps(step.pipeline, reporter);
  }
}

/** Names and numbers of Linux capabilities that files may be given (capabilities(7)). */
export const FILE_CAPABILITIES: ReadonlyMap<string, number> = new Map([
  ['cap_net_bind_service', 10],
  ['cap_net_admin', 12],
  ['cap_net_raw', 13],
  ['cap_ipc_lock', 14],
  ['cap_sys_admin', 21],
]);

function validateSetcap(entries: readonly Setcap[] | undefined, reporter: Reporter): void {
  for (const entry of entries ?? []) {
    for (const [names, { keyPlace: place }] of entry.add ?? []) {
      for (const name of names.split(',')) {
        if (FILE_CAPABILITIES.has(name)) continue;
        reporter.report(place, {
          code: 'invalid-value',
          message: `a file cannot be given the capability "${name}"`,
          hint:
            didYouMean(name, FILE_CAPABILITIES.keys()) ??
            `allowed are ${[...FILE_CAPABILITIES.keys()].join(', ')}`,
        });
      }
    }
    if ((entry.reason?.value ?? '') === '') {
      reporter.report(entry.reason?.place ?? keyPlace(entry, 'path'), {
        code: 'missing-value',
        message: 'setcap needs a "reason"',
      });
    }
  }
}

/** `run-as` must be a user that exists: root, the `build` user that every guest has, or one of `users`. */
function validateAccounts(accounts: Accounts | undefined, reporter: Reporter): void {
  const runAs = accounts?.runAs;
  if (runAs === undefined || ['', 'root', '0', 'build', '1000'].includes(runAs.value)) return;
  const users = accounts?.users ?? [];
  const known = users.some(
    (user) => user.username?.value === runAs.value || String(user.uid ?? '') === runAs.value,
  );
  if (known) return;
  const names = ['root', 'build', ...users.map((user) => user.username?.value ?? '')];
  reporter.report(runAs.place, {
    code: 'invalid-value',
    message: `there is no user "${runAs.value}" to run as`,
    hint: didYouMean(runAs.value, names) ?? 'declare it under accounts.users',
  });
}

const CPE_WORD = /^[a-z0-9][a-z0-9+_.-]*$/;

function validateCpe(cpe: Cpe | undefined, reporter: Reporter): void {
  if (cpe === undefined) return;
  const { part, vendor, product, edition, language, swEdition, targetSw, targetHw, other } = cpe;
  if (part !== undefined && !['', 'a', 'o'].includes(part.value)) {
    reporter.report(part.place, { code: 'invalid-value', message: 'the part of a CPE is "a" or "o"' });
  }
  if ((vendor?.value ?? '') === '' ? (product?.value ?? '') !== '' : (product?.value ?? '') === '') {
    const message = 'a CPE needs vendor and product, or neither';
    reporter.report(vendor?.place ?? product?.place ?? cpe.place, { code: 'missing-value', message });
  }
  for (const field of [vendor, product, edition, language, swEdition, targetSw, targetHw, other]) {
    if (field === undefined || field.value === '' || CPE_WORD.test(field.value)) continue;
    reporter.report(field.place, {
      code: 'invalid-value',
      message: `"${field.value}" cannot stand in a CPE`,
      hint: 'a word starts with a lower-case letter or digit, followed by these and + _ . -',
    });
  }
}

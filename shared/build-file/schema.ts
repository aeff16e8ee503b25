/** The schema of build files and pipeline files (specification of the melange build file, section 2). */
import {
  boolean,
  duration,
  list,
  map,
  replaceableText,
  replaceableTextMap,
  type Shape,
  text,
  textMap,
  unsigned,
} from './shape.ts';
import { lazy, type StructOf, struct } from './struct.ts';

const replaceableList = list(replaceableText);

const copyrightShape = struct({
  license: replaceableText,
  paths: replaceableList,
  attestation: text,
  'license-path': replaceableText,
  'detection-override': text,
});
export type Copyright = NonNullable<ReturnType<typeof copyrightShape.decode>>;

export const dependenciesShape = struct({
  runtime: replaceableList,
  provides: replaceableList,
  replaces: replaceableList,
  'provider-priority': replaceableText,
  'replaces-priority': replaceableText,
});
export type Dependencies = NonNullable<ReturnType<typeof dependenciesShape.decode>>;

const packageOptionsShape = struct({
  'no-provides': boolean,
  'no-depends': boolean,
  'no-commands': boolean,
  'no-versioned-shlib-deps': boolean,
});
export type PackageOptions = NonNullable<ReturnType<typeof packageOptionsShape.decode>>;

const scriptletsShape = struct({
  trigger: struct({ script: replaceableText, paths: replaceableList }),
  'pre-install': replaceableText,
  'post-install': replaceableText,
  'pre-deinstall': replaceableText,
  'post-deinstall': replaceableText,
  'pre-upgrade': replaceableText,
  'post-upgrade': replaceableText,
});
export type Scriptlets = NonNullable<ReturnType<typeof scriptletsShape.decode>>;

const cpeShape = struct({
  part: text,
  vendor: text,
  product: text,
  edition: text,
  language: text,
  sw_edition: text,
  target_sw: text,
  target_hw: text,
  other: text,
});
export type Cpe = NonNullable<ReturnType<typeof cpeShape.decode>>;

const setcapShape = struct({ path: text, add: textMap, reason: text });
export type Setcap = NonNullable<ReturnType<typeof setcapShape.decode>>;

const resourcesShape = struct({ cpu: text, cpumodel: text, memory: text, disk: text });
const checksShape = struct({ disabled: list(text) });

const packageShape = struct({
  name: replaceableText,
  version: replaceableText,
  epoch: unsigned,
  description: replaceableText,
  annotations: replaceableTextMap,
  url: replaceableText,
  commit: text,
  'target-architecture': replaceableList,
  copyright: list(copyrightShape),
  dependencies: dependenciesShape,
  options: packageOptionsShape,
  scriptlets: scriptletsShape,
  checks: checksShape,
  cpe: cpeShape,
  setcap: list(setcapShape),
  timeout: duration,
  resources: resourcesShape,
  'test-resources': resourcesShape,
});
export type PackageSection = NonNullable<ReturnType<typeof packageShape.decode>>;

const stepFields = {
  name: replaceableText,
  // Conditions are not replaced: they are evaluated with their variables as values (see condition.ts).
  if: text,
  uses: text,
  with: replaceableTextMap,
  runs: replaceableText,
  inputs: map(struct({ description: text, default: text, required: boolean })),
  needs: struct({ packages: replaceableList }),
  label: text,
  assertions: struct({ 'required-steps': unsigned }),
  'working-directory': replaceableText,
  environment: replaceableTextMap,
};

/** One step of a pipeline; a pipeline file is one step too. */
export interface Step extends StructOf<typeof stepFields> {
  readonly pipeline: readonly Step[] | undefined;
}

export const stepShape: Shape<Step> = struct({ ...stepFields, pipeline: list(lazy(() => stepShape)) });

const userShape = struct({ username: text, uid: unsigned, gid: unsigned, shell: text, homedir: text });
const groupShape = struct({ groupname: text, gid: unsigned, members: list(text) });
const accountsShape = struct({ 'run-as': text, users: list(userShape), groups: list(groupShape) });
export type Accounts = NonNullable<ReturnType<typeof accountsShape.decode>>;
export type User = NonNullable<ReturnType<typeof userShape.decode>>;
export type Group = NonNullable<ReturnType<typeof groupShape.decode>>;

const namedContent = struct({ name: text, content: text });

export const contentsShape = struct({
  repositories: replaceableList,
  build_repositories: replaceableList,
  runtime_repositories: replaceableList,
  keyring: replaceableList,
  runtime_keyring: list(namedContent),
  packages: replaceableList,
  baseimage: struct({ image: text, apkindex: text }),
});

/** The image configuration of apko, of which a build uses `contents`, `accounts`, `environment` and `paths`. */
export const environmentShape = struct({
  contents: contentsShape,
  entrypoint: struct({
    type: replaceableText,
    command: replaceableText,
    'shell-fragment': replaceableText,
    services: replaceableTextMap,
  }),
  cmd: replaceableText,
  'stop-signal': replaceableText,
  'work-dir': replaceableText,
  accounts: accountsShape,
  archs: list(text),
  environment: replaceableTextMap,
  paths: list(
    struct({
      path: text,
      type: text,
      uid: unsigned,
      gid: unsigned,
      permissions: unsigned,
      source: text,
      recursive: boolean,
    }),
  ),
  'vcs-url': replaceableText,
  annotations: replaceableTextMap,
  volumes: list(text),
  include: text,
  layering: struct({ strategy: text, budget: unsigned }),
  format: text,
  certificates: struct({ additional: list(namedContent), providers: list(text) }),
});
export type EnvironmentSection = NonNullable<ReturnType<typeof environmentShape.decode>>;

const testShape = struct({ environment: environmentShape, pipeline: list(stepShape) });
export type TestSection = NonNullable<ReturnType<typeof testShape.decode>>;

export const subpackageShape = struct({
  name: replaceableText,
  if: text,
  range: text,
  pipeline: list(stepShape),
  dependencies: dependenciesShape,
  options: packageOptionsShape,
  scriptlets: scriptletsShape,
  description: replaceableText,
  annotations: replaceableTextMap,
  url: replaceableText,
  commit: text,
  checks: checksShape,
  test: testShape,
  setcap: list(setcapShape),
});
export type SubpackageSection = NonNullable<ReturnType<typeof subpackageShape.decode>>;

const monitorFilters = {
  'strip-prefix': replaceableText,
  'strip-suffix': replaceableText,
  'tag-filter-prefix': replaceableText,
  'tag-filter-contains': replaceableText,
};

/** For robots that watch upstream releases; a build only checks its form. */
const updateShape = struct({
  enabled: boolean,
  manual: boolean,
  'require-sequential': boolean,
  shared: boolean,
  'version-separator': text,
  'ignore-regex-patterns': list(text),
  'enable-prerelease-tags': boolean,
  'exclude-reason': text,
  schedule: struct({ period: text, reason: text }),
  'version-transform': list(struct({ match: text, replace: text })),
  'release-monitor': struct({
    identifier: unsigned,
    'strip-prefix': replaceableText,
    'strip-suffix': replaceableText,
    'version-filter-contains': replaceableText,
    'version-filter-prefix': replaceableText,
  }),
  github: struct({
    identifier: replaceableText,
    ...monitorFilters,
    'tag-filter': replaceableText,
    'use-tag': boolean,
  }),
  git: struct(monitorFilters),
  oci: struct({ identifier: replaceableText, ...monitorFilters }),
  version_data: struct({
    version_format: text,
    sources: list(
      struct({ name: text, stream: text, ignore: boolean, commit_source: boolean, use_release: boolean }),
    ),
  }),
});

const transformShape = struct({ from: text, match: text, replace: text, to: text });
export type Transform = NonNullable<ReturnType<typeof transformShape.decode>>;

const optionShape = struct({
  vars: textMap,
  environment: struct({
    contents: struct({ packages: struct({ add: list(text), remove: list(text) }) }),
  }),
});
export type BuildOption = NonNullable<ReturnType<typeof optionShape.decode>>;

/** The whole build file. */
export const documentShape = struct({
  package: packageShape,
  environment: environmentShape,
  capabilities: struct({ add: list(text), drop: list(text) }),
  pipeline: list(stepShape),
  subpackages: list(subpackageShape),
  data: list(struct({ name: text, items: textMap })),
  update: updateShape,
  vars: textMap,
  'var-transforms': list(transformShape),
  options: map(optionShape),
  test: testShape,
});
export type Document = NonNullable<ReturnType<typeof documentShape.decode>>;

/** A vars file: one flat mapping. */
export const varsFileShape = textMap;

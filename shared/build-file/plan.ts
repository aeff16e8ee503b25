/** What is to be done to build one build file for one architecture. Plain data, the same for the same input. */
import type { Position } from '../errors.ts';
import type { Architecture } from './architecture.ts';

export interface BuildPlan {
  /** Name of the main package, the origin of all. */
  readonly name: string;
  readonly version: string;
  readonly epoch: number;
  readonly fullVersion: string;
  readonly arch: Architecture;
  /** Limit of the whole build. */
  readonly timeoutMs?: number;
  readonly resources: Readonly<Record<string, string>>;
  /** The main package first, then the subpackages that are built, in file order. */
  readonly packages: readonly PlannedPackage[];
  readonly environment: PlannedEnvironment;
  /** Files that steps expect from the source directory. */
  readonly requiredFiles: readonly RequiredFile[];
  /** The compiled build file as data; `melangeYaml` prints it with the locked environment. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

export interface PlannedPackage {
  readonly name: string;
  readonly fullVersion: string;
  readonly description: string;
  readonly url: string;
  readonly commit: string;
  readonly dependencies: PlannedDependencies;
  readonly options: PlannedOptions;
  readonly scriptlets: PlannedScriptlets;
  readonly setcap: readonly PlannedSetcap[];
  readonly copyright: readonly PlannedCopyright[];
  /** Linters whose findings are only warnings. */
  readonly checksDisabled: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Set fields of the CPE by their YAML key; empty without vendor and product. */
  readonly cpe: Readonly<Record<string, string>>;
  /** Absolute path in the guest. */
  readonly outputDirectory: string;
  readonly steps: readonly PlannedStep[];
  readonly test?: PlannedTest;
}

export interface PlannedDependencies {
  readonly runtime: readonly string[];
  readonly provides: readonly string[];
  readonly replaces: readonly string[];
  readonly providerPriority?: number;
  readonly replacesPriority?: number;
}

export interface PlannedOptions {
  readonly noProvides: boolean;
  readonly noDepends: boolean;
  readonly noCommands: boolean;
  readonly noVersionedShlibDeps: boolean;
}

/** Names of scriptlets as apk knows them. */
export type ScriptletName =
  | 'pre-install'
  | 'post-install'
  | 'pre-deinstall'
  | 'post-deinstall'
  | 'pre-upgrade'
  | 'post-upgrade';

export interface PlannedScriptlets {
  /** Only those that are not empty. */
  readonly scripts: Readonly<Partial<Record<ScriptletName, string>>>;
  readonly trigger?: { readonly script: string; readonly paths: readonly string[] };
}

export interface PlannedSetcap {
  readonly path: string;
  /** Capability name to flags text, for example `+eip`; names are not comma lists any more. */
  readonly add: Readonly<Record<string, string>>;
}

export interface PlannedCopyright {
  readonly license: string;
  readonly paths: readonly string[];
  readonly attestation: string;
  readonly licensePath: string;
  readonly detectionOverride: string;
}

export interface PlannedStep {
  /** `name`, else `uses`, else that of the step around it. */
  readonly name: string;
  /** Shell fragment for `stepCommand`; may be empty, when the step only makes its working directory. */
  readonly script: string;
  readonly workingDirectory: string;
  /** What the step adds to the environment, keys sorted. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the fragment is written: in the build file or in a pipeline file. */
  readonly position: Position;
  /** The step of the build file it belongs to. */
  readonly origin: Position;
}

export interface PlannedEnvironment {
  /** Constraints, sorted, unique; what steps need included. */
  readonly packages: readonly string[];
  /** Where the packages come from, those for building only included. */
  readonly repositories: readonly string[];
  /** What the finished environment says of its repositories: those not for building only. */
  readonly keptRepositories: readonly string[];
  readonly keyring: readonly string[];
  readonly accounts: PlannedAccounts;
  /** Keys sorted. */
  readonly variables: Readonly<Record<string, string>>;
  readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] };
  readonly paths: readonly PlannedPath[];
}

export interface PlannedAccounts {
  /** User that runs the steps; empty for the runner's default. */
  readonly runAs: string;
  readonly users: readonly {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly home: string;
    readonly shell: string;
  }[];
  readonly groups: readonly {
    readonly name: string;
    readonly gid: number;
    readonly members: readonly string[];
  }[];
}

export interface PlannedPath {
  readonly path: string;
  /** `directory`, `empty-file`, `hardlink`, `symlink` or `permissions`. */
  readonly type: string;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly permissions: number;
  readonly source: string;
  readonly recursive: boolean;
}

export interface PlannedTest {
  readonly environment: PlannedEnvironment;
  readonly steps: readonly PlannedStep[];
}

export interface RequiredFile {
  /** Relative to the workspace. */
  readonly path: string;
  readonly position: Position;
}

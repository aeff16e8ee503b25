/** A build file after parsing: variables that are known without an architecture replaced, ranges expanded, checked. */
import type { SourceFile, Text } from './place.ts';
import type { Document, PackageSection, SubpackageSection } from './schema.ts';

export interface BuildFile {
  readonly source: SourceFile;
  readonly name: string;
  readonly version: string;
  readonly epoch: number;
  /** `<version>-r<epoch>` */
  readonly fullVersion: string;
  /** As written: APK or OCI names; empty means all. */
  readonly targetArchitectures: readonly string[];
  readonly package: PackageSection;
  /** Everything else but subpackages, data and vars, which are below in their final form. */
  readonly document: Document;
  readonly subpackages: readonly Subpackage[];
  /** `vars.*`, transforms included. */
  readonly variables: ReadonlyMap<string, Text>;
  /** What could be referred to while parsing: `package.*` and `vars.*`. */
  readonly parseValues: ReadonlyMap<string, string>;
}

export interface Subpackage {
  readonly name: string;
  readonly section: SubpackageSection;
  /** `range.key` and `range.value`, empty without `range`. */
  readonly rangeValues: ReadonlyMap<string, string>;
}

/** Values of a list of texts. */
export function textValues(list: readonly Text[] | undefined): string[] {
  return (list ?? []).map((one) => one.value);
}

/** The text of an `APKINDEX`: records of lines `X:value`, each record ended by an empty line. */
import { PipelineError } from '../errors.ts';
import type { PackageInfo } from './package-info.ts';
import { copyOf, createStringPool, type StringPool } from './string-pool.ts';

/** One package of a repository. The comment on each field is its letter in the file. */
export interface IndexEntry {
  /** `C`: `Q1` and the base64 SHA-1 of the compressed control member; missing where the file has another kind. */
  readonly controlChecksum?: string | undefined;
  /** `P` */
  readonly name: string;
  /** `V` */
  readonly version: string;
  /** `A` */
  readonly arch: string;
  /** `S`: bytes of the file. */
  readonly size: number;
  /** `I`: bytes installed. */
  readonly installedSize: number;
  /** `T` */
  readonly description: string;
  /** `U` */
  readonly url: string;
  /** `L` */
  readonly license: string;
  /** `o` */
  readonly origin: string;
  /** `m` */
  readonly maintainer: string;
  /** `t`: Unix seconds. */
  readonly buildDate?: number | undefined;
  /** `c` */
  readonly commit: string;
  /** `D` */
  readonly depends: readonly string[];
  /** `i` */
  readonly installIf: readonly string[];
  /** `p` */
  readonly provides: readonly string[];
  /** `k` */
  readonly providerPriority: number;
  /** `r`: read, never written. */
  readonly replaces: readonly string[];
  /** `q`: read, never written. */
  readonly replacesPriority: number;
}

/** What is known of a package file after writing or verifying it. */
export interface PackageFacts {
  readonly info: PackageInfo;
  readonly controlChecksum: string;
  readonly size: number;
}

/** The record of a package. Several licences are joined with `AND`, which is what several lines mean. */
export function indexEntryOf(facts: PackageFacts): IndexEntry {
  const { info } = facts;
  const licenses = info.licenses.map((one) =>
    info.licenses.length > 1 && / OR /i.test(one) && !/^\([^()]*\)$/.test(one) ? `(${one})` : one,
  );
  return {
    controlChecksum: facts.controlChecksum,
    name: info.name,
    version: info.version,
    arch: info.arch,
    size: facts.size,
    installedSize: info.installedSize,
    description: info.description,
    url: info.url,
    license: licenses.join(' AND '),
    origin: info.origin,
    maintainer: info.maintainer ?? '',
    buildDate: info.buildDate ?? 0,
    commit: info.commit,
    depends: info.depends,
    installIf: info.installIf ?? [],
    provides: info.provides,
    providerPriority: info.providerPriority ?? 0,
    replaces: [],
    replacesPriority: 0,
  };
}

/** The text of an index, records in the order given. */
export function formatIndex(entries: Iterable<IndexEntry>): string {
  const parts: string[] = [];
  for (const entry of entries) {
    const add = (letter: string, value: string | number): void => {
      if (value !== '' && value !== 0) parts.push(letter, ':', oneLine(String(value)), '\n');
    };
    add('C', entry.controlChecksum ?? '');
    parts.push('P:', oneLine(entry.name), '\nV:', oneLine(entry.version), '\n');
    add('A', entry.arch);
    add('S', entry.size);
    add('I', entry.installedSize);
    parts.push('T:', oneLine(entry.description), '\n');
    add('U', entry.url);
    add('L', entry.license);
    add('o', entry.origin);
    add('m', entry.maintainer);
    if (entry.buildDate !== undefined) parts.push('t:', String(entry.buildDate), '\n');
    add('c', entry.commit);
    add('D', entry.depends.join(' '));
    add('i', entry.installIf.join(' '));
    add('p', entry.provides.join(' '));
    add('k', entry.providerPriority);
    parts.push('\n');
  }
  return parts.join('');
}

/** A line break inside a value would start a new field. */
function oneLine(value: string): string {
  return value.includes('\n') ? value.replace(/\s*\n\s*/g, ' ') : value;
}

/**
 * Reads the text of an index. Unknown letters are passed over; packages without a name are left out; the last record
 * counts also without its empty line.
 *
 * @throws PipelineError `index-malformed`, with the line.
 */
export function parseIndex(text: string): IndexEntry[] {
  const reader = createIndexReader();
  reader.read(text);
  return reader.end();
}

/** Reads an index piece by piece. What it keeps of a piece are the values alone, and equal ones once. */
export interface IndexReader {
  /** Takes the next piece, cut anywhere. */
  read(text: string): void;
  /** Everything that was read; nothing can be read afterwards. */
  end(): IndexEntry[];
}

/** A reader that does what `parseIndex` does, with the same errors, for an index that is never in memory as a whole. */
export function createIndexReader(): IndexReader {
  const entries: IndexEntry[] = [];
  const pool = createStringPool();
  let fields = blankRecord();
  let touched = false;
  let lineNumber = 0;
  /** The beginning of a line whose end has not come. */
  let begun = '';

  const endRecord = (): void => {
    if (!touched) return;
    if (fields.name !== '') entries.push(fields);
    fields = blankRecord();
    touched = false;
  };
  const readLine = (text: string, at: number, end: number): void => {
    lineNumber += 1;
    if (end === at) {
      endRecord();
      return;
    }
    if (text[at + 1] !== ':' || end - at < 2) throw malformed('has no field letter', lineNumber);
    setField(fields, text[at] ?? '', { value: text.slice(at + 2, end), line: lineNumber, pool });
    touched = true;
  };
  return {
    read(piece) {
      const text = begun === '' ? piece : begun + piece;
      let at = 0;
      for (let end = text.indexOf('\n', begun.length); end !== -1; end = text.indexOf('\n', at)) {
        readLine(text, at, end);
        at = end + 1;
      }
      begun = copyOf(text.slice(at));
    },
    end() {
      if (begun !== '') readLine(begun, 0, begun.length);
      endRecord();
      return entries;
    },
  };
}

type Mutable<Shape> = { -readonly [Key in keyof Shape]: Shape[Key] };

const NOTHING: readonly string[] = [];

function blankRecord(): Mutable<IndexEntry> {
  return {
    controlChecksum: undefined,
    name: '',
    version: '',
    arch: '',
    size: 0,
    installedSize: 0,
    description: '',
    url: '',
    license: '',
    origin: '',
    maintainer: '',
    buildDate: undefined,
    commit: '',
    depends: NOTHING,
    installIf: NOTHING,
    provides: NOTHING,
    providerPriority: 0,
    replaces: NOTHING,
    replacesPriority: 0,
  };
}

interface FieldText {
  readonly value: string;
  readonly line: number;
  readonly pool: StringPool;
}

function setField(entry: Mutable<IndexEntry>, letter: string, { value, line, pool }: FieldText): void {
  switch (letter) {
    case 'C':
      if (value.startsWith('Q1')) entry.controlChecksum = copyOf(value);
      break;
    case 'P':
      entry.name = pool.one(value);
      break;
    case 'V':
      entry.version = pool.one(value);
      break;
    case 'A':
      entry.arch = pool.one(value);
      break;
    case 'S':
      entry.size = integer(value, line);
      break;
    case 'I':
      entry.installedSize = integer(value, line);
      break;
    case 'T':
      entry.description = pool.one(value);
      break;
    case 'U':
      entry.url = pool.one(value);
      break;
    case 'L':
      entry.license = pool.one(value);
      break;
    case 'o':
      entry.origin = pool.one(value);
      break;
    case 'm':
      entry.maintainer = pool.one(value);
      break;
    case 't':
      entry.buildDate = integer(value, line);
      break;
    case 'c':
      entry.commit = pool.one(value);
      break;
    case 'D':
      entry.depends = pool.words(value);
      break;
    case 'i':
      entry.installIf = pool.words(value);
      break;
    case 'p':
      entry.provides = pool.words(value);
      break;
    case 'k':
      entry.providerPriority = integer(value, line);
      break;
    case 'r':
      entry.replaces = pool.words(value);
      break;
    case 'q':
      entry.replacesPriority = integer(value, line);
      break;
    default:
      break;
  }
}

function integer(value: string, line: number): number {
  const result = value === '' ? 0 : Number(value);
  if (!Number.isSafeInteger(result) || result < 0 || !/^\d*$/.test(value)) {
    throw malformed(`has ${JSON.stringify(value)} where a number stands`, line);
  }
  return result;
}

function malformed(problem: string, line: number): PipelineError {
  return new PipelineError({
    code: 'index-malformed',
    kind: 'infra',
    message: `unusable package index: line ${line} ${problem}`,
  });
}

/**
 * What a package puts on a system when it is installed: its description, its scriptlets, and each of its paths with
 * owner, mode and checksum. Enough to install it on paper, without its bytes.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { PipelineError } from '../errors.ts';
import type { PackageInfo } from './package-info.ts';
import { TAR_ENTRY_TYPES, type TarEntry, type TarEntryType } from './tar-read.ts';

export interface InstalledEntry {
  /** From the root, without a slash at either end. */
  readonly path: string;
  readonly type: TarEntryType;
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Base64 SHA-1 of a file's content or a symlink's target; empty for everything else. */
  readonly sha1: string;
  /** A symlink's target as it is written; the path of the file a hard link joins; else empty. */
  readonly target: string;
}

const packageInfo = z.object({
  name: z.string(),
  version: z.string(),
  arch: z.string(),
  installedSize: z.number(),
  origin: z.string(),
  description: z.string(),
  url: z.string(),
  commit: z.string(),
  maintainer: z.string().optional(),
  buildDate: z.number().optional(),
  licenses: z.array(z.string()),
  depends: z.array(z.string()),
  provides: z.array(z.string()),
  replaces: z.array(z.string()),
  installIf: z.array(z.string()).optional(),
  providerPriority: z.number().optional(),
  replacesPriority: z.number().optional(),
  triggers: z.array(z.string()),
  dataHash: z.string(),
});

const storedContents = z.object({
  info: packageInfo,
  scriptlets: z.record(z.string(), z.string()),
  texts: z.record(z.string(), z.string()),
  entries: z.array(
    z.tuple([
      z.string(),
      z.enum(TAR_ENTRY_TYPES),
      z.number(),
      z.number(),
      z.number(),
      z.string(),
      z.string(),
    ]),
  ),
});

export interface PackageContents {
  readonly info: PackageInfo;
  /** Base64 of each scriptlet, by its name. */
  readonly scriptlets: Readonly<Record<string, string>>;
  /** Content of the files that making an environment reads, by path: lists of busybox's links. */
  readonly texts: Readonly<Record<string, string>>;
  /** In the package's order. */
  readonly entries: readonly InstalledEntry[];
}

/** Where a package lists the paths that are to lead to its busybox, in a file of the package's name. */
export const BUSYBOX_PATHS = 'etc/busybox-paths.d/';
const MAX_TEXT_BYTES = 64 * 1024;

/** One text for equal contents. */
export function formatContents(contents: PackageContents): string {
  const entries = contents.entries.map((one) => [
    one.path,
    one.type,
    one.mode,
    one.uid,
    one.gid,
    one.sha1,
    one.target,
  ]);
  const { info, scriptlets, texts } = contents;
  return JSON.stringify({ info, scriptlets, texts, entries });
}

/** Reads `formatContents`. Throws a `SyntaxError` or a `ZodError` for anything else. */
export function parseContents(text: string): PackageContents {
  const { info, scriptlets, texts, entries } = storedContents.parse(JSON.parse(text));
  return {
    info,
    scriptlets,
    texts,
    entries: entries.map(([path, type, mode, uid, gid, sha1, target]) => ({
      path,
      type,
      mode,
      uid,
      gid,
      sha1,
      target,
    })),
  };
}

/** Collects the entries of a package's data as they come by. */
export interface EntryCollector {
  /** In the package's order. */
  readonly entries: readonly InstalledEntry[];
  readonly texts: Readonly<Record<string, string>>;
  /**
   * Reads the content of a file only where it is kept, or where the entry does not carry its checksum.
   *
   * @throws PipelineError `apk-malformed` for a path that leaves the root.
   */
  add(entry: TarEntry): Promise<void>;
}

export function collectEntries(): EntryCollector {
  const entries: InstalledEntry[] = [];
  const texts: Record<string, string> = {};
  return {
    entries,
    texts,
    async add(entry) {
      const path = plainPath(entry.name);
      if (path === '') return;
      // What apk keeps for itself stands first, at the top; the same name further down is a file of the package.
      if (entries.length === 0 && entry.type !== 'directory' && /^\.[^/]*$/.test(path)) return;
      const { type, mode, uid, gid } = entry;
      const target =
        type === 'hardlink' ? plainPath(entry.linkName) : type === 'symlink' ? entry.linkName : '';
      const text = isKept(path, entry) ? Buffer.concat(await Array.fromAsync(entry.content)) : undefined;
      if (text !== undefined) texts[path] = text.toString();
      entries.push({ path, type, mode, uid, gid, sha1: await checksum(entry, text), target });
    },
  };
}

function isKept(path: string, { type, size }: TarEntry): boolean {
  return type === 'file' && path.startsWith(BUSYBOX_PATHS) && size <= MAX_TEXT_BYTES;
}

function plainPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0'))
    throw malformed(`its path ${JSON.stringify(name)} leads elsewhere`);
  return parts.join('/');
}

const CHECKSUM_KEY = 'APK-TOOLS.checksum.SHA1';

/** @param content where it has been read already. */
async function checksum(entry: TarEntry, content?: Buffer): Promise<string> {
  if (entry.type !== 'file' && entry.type !== 'symlink') return '';
  const written = entry.pax.get(CHECKSUM_KEY)?.toString('latin1') ?? '';
  if (/^[0-9a-f]{40}$/i.test(written)) return Buffer.from(written, 'hex').toString('base64');
  const hash = createHash('sha1');
  if (entry.type === 'symlink') hash.update(entry.linkName);
  else if (content !== undefined) hash.update(content);
  else for await (const chunk of entry.content) hash.update(chunk);
  return hash.digest('base64');
}

function malformed(problem: string): PipelineError {
  return new PipelineError({ code: 'apk-malformed', kind: 'infra', message: `broken package: ${problem}` });
}

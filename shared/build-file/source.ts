/**
 * YAML text to a tree of nodes that know their place. Scalars keep their source text (`1.10` stays `1.10`); what a
 * scalar means is decided by whoever decodes it. Aliases point to the node they name, merge keys are resolved.
 */
import { EVENT_ID, getScalarValue, SCALAR_STYLE, type ScalarEvent } from 'js-yaml';
import type { Reporter } from './diagnostic.ts';
import { MAX_ALIASED_NODES, MAX_SOURCE_CHARACTERS, MAX_YAML_DEPTH } from './limits.ts';
import { createSource, type Place, positionOf, type SourceFile } from './place.ts';
import { readYaml, type YamlEvents } from './yaml-events.ts';
import { explainSyntaxError } from './yaml-hints.ts';

export interface ScalarNode extends Place {
  readonly kind: 'scalar';
  /** Decoded content of a quoted or block scalar, source text of a plain one. */
  readonly value: string;
  /** Written without quotes and not as a block, so that words like `null` and `true` have their meaning. */
  readonly plain: boolean;
}

export interface SequenceNode extends Place {
  readonly kind: 'sequence';
  readonly items: readonly Node[];
}

export interface MappingNode extends Place {
  readonly kind: 'mapping';
  /** In file order, those of merge keys last; no key occurs twice. */
  readonly entries: readonly MappingEntry[];
}

export interface MappingEntry {
  readonly key: ScalarNode;
  readonly value: Node;
}

export type Node = ScalarNode | SequenceNode | MappingNode;

/** The text of one file and the name it goes by in messages. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

/** True for an empty value, `~` and `null` (YAML 1.2 core schema, also in the capitalisations of YAML 1.1). */
export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.plain && /^(?:|~|null|Null|NULL)$/.test(node.value);
}

/**
 * Parses the first document. Problems go to `reporter` (`yaml-syntax`, `build-file-too-large`) and never throw; the
 * result is undefined for an empty document or when there were errors.
 */
export function parseSource(input: SourceText, reporter: Reporter): Node | undefined {
  const { file, text } = input;
  if (text.length > MAX_SOURCE_CHARACTERS) {
    const source = createSource(file, text.slice(0, 1));
    reporter.report(wholeOf(source, 0, 1), {
      code: 'build-file-too-large',
      message: `the file has ${text.length} characters, more than the ${MAX_SOURCE_CHARACTERS} allowed`,
    });
    return undefined;
  }
  const source = createSource(file, text);
  const read = readYaml(firstDocument(text));
  if ('reason' in read) {
    reporter.report(wholeOf(source, read.offset, read.offset + 1), {
      code: 'yaml-syntax',
      ...explainSyntaxError(read.reason, text, read.offset),
    });
    return undefined;
  }
  return buildTree(read, source, reporter);
}

/**
 * Cuts the stream behind its first document. A marker at the start of a line ends a document even inside a block
 * scalar (YAML 1.2, production 206), so no parsing is needed to find it.
 */
function firstDocument(text: string): string {
  for (const match of text.matchAll(/^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gm)) {
    const before = text.slice(0, match.index);
    const lines = before.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
    if (lines.some((line) => !/^(?:%|[ \t]*(?:#|$))/.test(line))) return before;
  }
  return text;
}

interface Frame {
  readonly kind: 'sequence' | 'mapping';
  readonly start: number;
  readonly anchor: string | undefined;
  readonly nodes: Node[];
  /** Nodes below, aliases followed. */
  size: number;
  /** Levels below, aliases followed. */
  height: number;
}

interface Anchored {
  readonly node: Node;
  readonly size: number;
  readonly height: number;
}

function buildTree(yaml: YamlEvents, source: SourceFile, reporter: Reporter): Node | undefined {
  const { events, text } = yaml;
  const problemsBefore = reporter.errors;
  const anchors = new Map<string, Anchored | 'open'>();
  const stack: Frame[] = [];
  let root: Node | undefined;
  let aliased = 0;
  // Where the last thing ended: an empty value has no place of its own.
  let last = 0;

  const add = (node: Node, size: number, height: number): void => {
    const parent = stack.at(-1);
    if (parent === undefined) {
      root ??= node;
      return;
    }
    parent.nodes.push(node);
    parent.size += size;
    parent.height = Math.max(parent.height, height + 1);
  };

  const placeOf = (start: number, end: number): Place =>
    wholeOf(source, yaml.originalOffset(start), yaml.originalOffset(end));

  for (const event of events) {
    switch (event.type) {
      case EVENT_ID.DOCUMENT:
        break;
      case EVENT_ID.SEQUENCE:
      case EVENT_ID.MAPPING: {
        const anchor = anchorOf(text, event);
        if (anchor !== undefined) anchors.set(anchor, 'open');
        const kind = event.type === EVENT_ID.SEQUENCE ? 'sequence' : 'mapping';
        stack.push({ kind, start: event.start, anchor, nodes: [], size: 1, height: 0 });
        last = event.start + 1;
        break;
      }
      case EVENT_ID.SCALAR: {
        const start = event.valueStart < 0 ? last : event.valueStart;
        const end = event.valueStart < 0 ? last : event.valueEnd;
        const value = event.valueStart < 0 ? '' : scalarValue(text, event);
        const plain = event.style === SCALAR_STYLE.PLAIN;
        const node: ScalarNode = { kind: 'scalar', ...placeOf(start, end), value, plain };
        const anchor = anchorOf(text, event);
        if (anchor !== undefined) anchors.set(anchor, { node, size: 1, height: 0 });
        add(node, 1, 0);
        last = Math.max(last, end, event.tagEnd, event.anchorEnd);
        break;
      }
      case EVENT_ID.ALIAS: {
        const place = placeOf(event.anchorStart - 1, event.anchorEnd);
        const name = text.slice(event.anchorStart, event.anchorEnd);
        const target = anchors.get(name);
        if (target === undefined || target === 'open') {
          const message =
            target === 'open' ? `the alias *${name} contains itself` : `there is no anchor &${name}`;
          reporter.report(place, { code: 'yaml-syntax', message });
          return undefined;
        }
        aliased += target.size;
        const deepest = target.height + stack.length;
        if (aliased > MAX_ALIASED_NODES || deepest > MAX_YAML_DEPTH) {
          reporter.report(place, {
            code: 'build-file-too-large',
            message: 'aliases make the file too large',
          });
          return undefined;
        }
        add(target.node, target.size, target.height);
        last = event.anchorEnd;
        break;
      }
      case EVENT_ID.POP: {
        const frame = stack.pop();
        if (frame === undefined) break;
        const node = finishCollection(frame, placeOf(frame.start, last), reporter);
        if (frame.anchor !== undefined) {
          anchors.set(frame.anchor, { node, size: frame.size, height: frame.height });
        }
        add(node, frame.size, frame.height);
        break;
      }
    }
  }
  return reporter.errors > problemsBefore ? undefined : root;
}

/** js-yaml gives a block at the very end of a text a line break that is not there; go-yaml does not. */
function scalarValue(text: string, event: ScalarEvent): string {
  const value = getScalarValue(text, event);
  const isBlock = event.style === SCALAR_STYLE.LITERAL_BLOCK || event.style === SCALAR_STYLE.FOLDED_BLOCK;
  const endsTheText = event.valueEnd === text.length && !/[\r\n]$/.test(text);
  return isBlock && endsTheText && value.endsWith('\n') ? value.slice(0, -1) : value;
}

function finishCollection(frame: Frame, place: Place, reporter: Reporter): SequenceNode | MappingNode {
  if (frame.kind === 'sequence') return { kind: 'sequence', ...place, items: frame.nodes };
  const entries = new Map<string, MappingEntry>();
  let merge: MappingEntry | undefined;
  for (let index = 0; index + 1 < frame.nodes.length; index += 2) {
    const key = frame.nodes[index];
    const value = frame.nodes[index + 1];
    if (key === undefined || value === undefined) break;
    if (key.kind !== 'scalar') {
      reporter.report(key, { code: 'yaml-syntax', message: `a key must be a word, not a ${key.kind}` });
      continue;
    }
    const isMerge = key.plain && key.value === '<<';
    const first = isMerge ? merge : entries.get(key.value);
    if (first !== undefined) {
      reporter.report(key, {
        code: 'yaml-syntax',
        message: `the key "${key.value}" stands twice in one mapping`,
        hint: `it was first given in line ${positionOf(first.key).line}`,
      });
    } else if (isMerge) merge = { key, value };
    else entries.set(key.value, { key, value });
  }
  if (merge !== undefined) mergeInto(entries, merge.value, reporter);
  return { kind: 'mapping', ...place, entries: [...entries.values()] };
}

/** A merge key takes a mapping or a list of mappings; keys already there win. */
function mergeInto(entries: Map<string, MappingEntry>, value: Node, reporter: Reporter): void {
  for (const mapping of value.kind === 'sequence' ? value.items : [value]) {
    if (mapping.kind !== 'mapping') {
      reporter.report(mapping, { code: 'yaml-syntax', message: 'a merge key << takes a mapping' });
      continue;
    }
    for (const entry of mapping.entries) {
      if (!entries.has(entry.key.value)) entries.set(entry.key.value, entry);
    }
  }
}

function anchorOf(text: string, event: { anchorStart: number; anchorEnd: number }): string | undefined {
  return event.anchorStart < 0 ? undefined : text.slice(event.anchorStart, event.anchorEnd);
}

function wholeOf(source: SourceFile, start: number, end: number): Place {
  return { source, start: Math.max(0, start), end: Math.max(start, end) };
}

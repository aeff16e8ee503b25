/** Where something stands in a text that a user wrote. */
import type { Position } from '../errors.ts';

export interface SourceFile {
  /** Name for messages, as the user knows it. */
  readonly file: string;
  readonly text: string;
  /** Line and column, both from 1, of an offset in `text`. */
  position(offset: number): Position;
}

/** A range of a source, as offsets of UTF-16 code units; `end` is exclusive. */
export interface Place {
  readonly source: SourceFile;
  readonly start: number;
  readonly end: number;
}

/** A scalar's text, and where it comes from. The text may have had variables replaced since. */
export interface Text {
  readonly value: string;
  readonly place: Place;
}

/** A source whose line table is made when the first position is asked for. */
export function createSource(file: string, text: string): SourceFile {
  let lineStarts: number[] | undefined;
  return {
    file,
    text,
    position(offset) {
      lineStarts ??= findLineStarts(text);
      let low = 0;
      let high = lineStarts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((lineStarts[middle] ?? 0) <= offset) low = middle;
        else high = middle - 1;
      }
      return { file, line: low + 1, column: offset - (lineStarts[low] ?? 0) + 1 };
    },
  };
}

export function positionOf(place: Place): Position {
  return place.source.position(place.start);
}

/** The first occurrence of `snippet` inside `place`, or `place` itself where its source spells it differently. */
export function placeWithin(place: Place, snippet: string): Place {
  const found = place.source.text.indexOf(snippet, place.start);
  if (snippet === '' || found < 0 || found + snippet.length > place.end) return place;
  return { source: place.source, start: found, end: found + snippet.length };
}

/** YAML's line breaks: LF, CR LF, or a lone CR. */
function findLineStarts(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) starts.push(match.index + match[0].length);
  return starts;
}

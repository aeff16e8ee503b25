/** Strings of which each is kept once. An index repeats most of its texts: origins, licences, dependencies. */

/** Up to this length V8 copies a part of a string; longer parts keep the whole string they were cut from alive. */
const COPIED_LENGTH = 12;

const NOTHING: readonly string[] = [];

export interface StringPool {
  /** An equal string that is kept anyway, or a copy that keeps nothing else alive. */
  one(text: string): string;
  /** The words of a text between blanks; equal texts have the same list. */
  words(text: string): readonly string[];
}

/** A pool for one index; it is to be dropped with the reading, the strings live on in the entries. */
export function createStringPool(): StringPool {
  const strings = new Map<string, string>();
  const lists = new Map<string, readonly string[]>();
  const one = (text: string): string => {
    if (text === '') return text;
    const known = strings.get(text);
    if (known !== undefined) return known;
    const own = copyOf(text);
    strings.set(own, own);
    return own;
  };
  return {
    one,
    words(text) {
      if (text === '') return NOTHING;
      const known = lists.get(text);
      if (known !== undefined) return known;
      const list = text
        .split(' ')
        .filter((word) => word !== '')
        .map(one);
      lists.set(copyOf(text), list);
      return list;
    },
  };
}

/** The same text in memory of its own. */
export function copyOf(text: string): string {
  return text.length <= COPIED_LENGTH ? text : Buffer.from(text).toString();
}

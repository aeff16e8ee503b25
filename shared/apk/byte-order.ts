/**
 * The order of two texts by their UTF-8 bytes, as the formats here sort names and lists. (`<` compares UTF-16 units,
 * which differs beyond the basic plane; a locale never takes part.)
 */
export function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/** The distinct texts of a list in the order of their bytes. */
export function sortedUnique(texts: Iterable<string>): string[] {
  return [...new Set(texts)].sort(compareBytes);
}

/**
 * Sizes beyond which a build file is refused. Build files come from strangers, and aliases, `range`, nested `uses` and
 * variables that hold variables can each multiply a small text; the largest real files use about a hundredth of these.
 */

/** Characters of one build file, pipeline file or vars file: 1 MiB. */
export const MAX_SOURCE_CHARACTERS = 1024 * 1024;

/** Collections within collections, aliases followed. */
export const MAX_YAML_DEPTH = 100;

/** Characters read again, in one file, because of the indentation of lines where it does not matter: 8 Mi. */
export const MAX_YAML_REREAD_CHARACTERS = 8 * 1024 * 1024;

/** Nodes that aliases and merge keys add to those written out. */
export const MAX_ALIASED_NODES = 100_000;

/** Problems reported for one file; the rest would only follow from these. */
export const MAX_DIAGNOSTICS = 50;

/** Subpackages of one build file after `range`. */
export const MAX_SUBPACKAGES = 2_000;

/** YAML nodes that `range` makes of its templates, over all tables. */
export const MAX_RANGE_NODES = 500_000;

/** Vars that refer to vars that refer to vars. */
export const MAX_VARIABLE_DEPTH = 100;

/** Steps of one compiled build file, over all packages and tests. */
export const MAX_STEPS = 20_000;

/** Steps within steps, those of used pipelines included; the recorded form nests twice as deep. */
export const MAX_STEP_DEPTH = 40;

/** Characters that replacing variables may produce in one parse or one compilation: 64 Mi. */
export const MAX_EXPANDED_CHARACTERS = 64 * 1024 * 1024;

/** What an entry of a mapping counts for in that sum when a step inherits it. */
export const EXPANDED_ENTRY_CHARACTERS = 32;

/** Characters of one text after its variables are replaced: 4 Mi. */
export const MAX_TEXT_CHARACTERS = 4 * 1024 * 1024;

/** Characters of one condition. */
export const MAX_CONDITION_CHARACTERS = 10_000;

/** Characters of one value that a condition compares. */
export const MAX_OPERAND_CHARACTERS = 4096;

/** Parentheses within parentheses of a condition or a regular expression. */
export const MAX_EXPRESSION_DEPTH = 50;

/** Characters of the `match` of a var-transform. */
export const MAX_PATTERN_CHARACTERS = 1_000;

/** Instructions of a compiled regular expression: counted repetitions multiply (RE2 has a bound of the same kind). */
export const MAX_PATTERN_INSTRUCTIONS = 10_000;

/** Instructions that the var-transforms of a file may execute: a second or less. */
export const MAX_MATCH_WORK = 10_000_000;

/** Characters of shell of one build file that are checked for syntax errors: a tenth of a second. */
export const MAX_CHECKED_SHELL_CHARACTERS = 256 * 1024;

/** Says what a YAML syntax error usually comes from. The reasons are those of js-yaml 5. */

export interface Explanation {
  readonly message: string;
  readonly hint?: string;
}

export function explainSyntaxError(reason: string, text: string, offset: number): Explanation {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const lineEnd = text.indexOf('\n', offset);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const hint =
    hintFor(reason, line, text.slice(lineStart, offset)) ?? hintBefore(reason, text.slice(0, lineStart));
  return { message: `YAML: ${reason}`, ...(hint === undefined ? {} : { hint }) };
}

function hintFor(reason: string, line: string, before: string): string | undefined {
  if (reason.includes('tab characters')) return 'indent with spaces';
  if (/^\s*(?:- )?[\w-]+:\s+[^'"\s|>[{#].*:(?:\s|$)/.test(line)) {
    return 'put the value in quotes: it contains a colon followed by a blank';
  }
  if (/:\s+$/.test(before) && /^[@`%&*!|>]/.test(line.slice(before.length))) {
    return `put the value in quotes: it begins with ${line.charAt(before.length)}`;
  }
  if (reason.includes('flow collection') && line.includes('${{')) {
    return 'put the reference in quotes: within { } and [ ] its braces have a meaning of their own';
  }
  return undefined;
}

/** Looks for the cause in the lines before the one where reading stopped. */
function hintBefore(reason: string, before: string): string | undefined {
  const lines = before.split('\n').slice(0, -1);
  const last = lines.findLastIndex((line) => line.trim() !== '' && !/^\s*#/.test(line));
  if (/^\s*(?:- )?[\w-]+:[^\s/]/.test(lines[last] ?? '')) {
    return `is a blank missing after the colon in line ${last + 1}?`;
  }
  if (reason.includes('within a') || reason.includes('deficient indentation')) {
    const open = lines.findLastIndex(leavesOpen);
    return open < 0
      ? 'a quote or bracket opened before is not closed'
      : `the quote or bracket opened in line ${open + 1} is not closed`;
  }
  if (reason.includes('bad indentation') || reason.includes('multiline key')) {
    return 'compare the indentation of this line with that of its neighbours';
  }
  if (reason.includes("expected ':'")) {
    return 'a colon is missing, or the line belongs to the block above and must be indented as that is';
  }
  if (reason.includes('document separator')) return 'is a blank missing after a colon or a dash?';
  return undefined;
}

/** True for a value that begins with a quote or bracket and does not end it in its line. */
function leavesOpen(line: string): boolean {
  const value = /^\s*(?:- +)*(?:[\w-]+:\s+)?(["'[{].*)$/.exec(line)?.[1] ?? '';
  const closing: Readonly<Record<string, string>> = { '"': '"', "'": "'", '[': ']', '{': '}' };
  return value !== '' && !value.slice(1).includes(closing[value.charAt(0)] ?? '');
}

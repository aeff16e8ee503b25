/** Says what a YAML syntax error usually comes from. The reasons are those of js-yaml 5. */

export interface Explanation {
  readonly message: string;
  readonly hint?: string;
}

export function explainSyntaxError(reason: string, text: string, offset: number): Explanation {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  const lineEnd = text.indexOf('\n', offset);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const hint = hintFor(reason, line, text.slice(lineStart, offset));
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
  if (reason.includes('bad indentation') || reason.includes('multiline key')) {
    return 'compare the indentation of this line with that of its neighbours';
  }
  if (reason.includes('within a') || reason.includes('deficient indentation')) {
    return 'a quote or bracket opened before is not closed';
  }
  if (reason.includes('document separator')) return 'is a blank missing after a colon or a dash?';
  return undefined;
}

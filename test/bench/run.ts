/** Measures Carryall and prints a line per figure: what, value, goal. Names of benches may be given as arguments. */
import { environment } from './environment.ts';
import { indexLoad } from './index-load.ts';
import { language } from './language.ts';
import { uploadToSuccess } from './upload-to-success.ts';

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Largest value that is good; undefined for a figure without a goal. */
  readonly goal?: number;
}

const BENCHES: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  'upload-to-success': uploadToSuccess,
  language,
  index: indexLoad,
  environment,
};

const wanted = process.argv.slice(2);
let missed = 0;
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`${name}:`);
  for (const { what, value, unit, goal } of await bench()) {
    const good = goal === undefined || value <= goal;
    if (!good) missed += 1;
    const against = goal === undefined ? '' : `  goal ≤ ${goal} ${unit}: ${good ? 'reached' : 'MISSED'}`;
    console.log(`  ${what}: ${value.toFixed(value < 10 ? 2 : 0)} ${unit}${against}`);
  }
}
process.exit(missed === 0 ? 0 : 1);

/** One line of a script's verdict: what was measured, what was wanted, and whether it holds. */
export interface Criterion {
  readonly name: string;
  readonly measured: string;
  readonly wanted: string;
  readonly holds: boolean;
}

export const atLeast = (name: string, value: number, min: number, unit = ''): Criterion => ({
  name,
  measured: `${rounded(value)}${unit}`,
  wanted: `>= ${min}${unit}`,
  holds: value >= min,
});

export const below = (name: string, value: number, max: number, unit = ''): Criterion => ({
  name,
  measured: `${rounded(value)}${unit}`,
  wanted: `< ${max}${unit}`,
  holds: value < max,
});

export const none = (name: string, count: number): Criterion => ({
  name,
  measured: String(count),
  wanted: '0',
  holds: count === 0,
});

export const fact = (name: string, holds: boolean, measured = holds ? 'yes' : 'no'): Criterion => ({
  name,
  measured,
  wanted: 'yes',
  holds,
});

/** A measurement without a limit. */
export const note = (name: string, measured: string | number): Criterion => ({
  name,
  measured: typeof measured === 'number' ? rounded(measured) : measured,
  wanted: '',
  holds: true,
});

const rounded = (value: number): string =>
  Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 1);

export function renderTable(criteria: readonly Criterion[]): string {
  const rows = [
    ['', 'measured', 'wanted', ''],
    ...criteria.map(({ name, measured, wanted, holds }) => [
      name,
      measured,
      wanted,
      wanted === '' ? '' : holds ? 'ok' : 'FAILED',
    ]),
  ];
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]!.length)));
  return rows
    .map(([name, measured, wanted, verdict]) =>
      `${name!.padEnd(widths[0]!)}  ${measured!.padStart(widths[1]!)}  ${wanted!.padStart(widths[2]!)}  ${verdict}`.trimEnd(),
    )
    .join('\n');
}

/**
 * Runs a script's body and ends the process: 0 when every criterion holds, 1 when one does not or the body failed. Output
 * of the body goes to stderr, so that stdout holds the table alone.
 */
export async function runAcceptance(title: string, body: () => Promise<readonly Criterion[]>): Promise<never> {
  let failed = true;
  try {
    const criteria = await body();
    console.log(`${title}\n${renderTable(criteria)}`);
    failed = criteria.some(({ holds }) => !holds);
  } catch (error) {
    console.error(`${title} could not be finished:`, error);
  }
  process.exit(failed ? 1 : 0);
}

/** What a script says while it works. */
export const progress = (text: string): void => console.error(text);

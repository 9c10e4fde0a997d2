/** Comma-separated values (RFC 4180), safe to open in a spreadsheet. */

/** What a spreadsheet takes for the beginning of a formula, and would carry out whoever wrote it. */
const FORMULA = /^[=+\-@\t\r]/;
const QUOTED = /[",\r\n]/;

/** One record with its line end. A text that a spreadsheet could take for a formula gets an apostrophe before it; undefined is an empty cell. */
export function csvRow(cells: readonly (string | number | boolean | undefined)[]): string {
  return `${cells.map((cell) => (typeof cell === 'string' ? csvText(cell) : String(cell ?? ''))).join(',')}\r\n`;
}

function csvText(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return QUOTED.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Columns of text for a terminal. */

/**
 * What came from a client or a peer may hold anything; a terminal must not obey it. Control
 * characters and those that turn the direction of writing become a question mark.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [header, ...rows].map((row) => renderRow(row, widths)).join('');
}

/** One line; a cell wider than its column pushes the rest to the right. */
export function renderRow(cells: readonly string[], widths: readonly number[]): string {
  return `${cells.map((cell, column) => printable(cell).padEnd(widths[column] ?? 0)).join('  ').trimEnd()}\n`;
}

/** "3d 4h", "2h 05m", "1m 07s", "12s". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s >= 86_400) return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
  if (s >= 3600) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  if (s >= 60) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  return `${s}s`;
}

/** "3 changes, 4 ms"; "-" for none. */
export function formatLag(changes: number, seconds: number): string {
  if (changes === 0) return '-';
  const age = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : formatDuration(seconds);
  return `${changes} ${changes === 1 ? 'change' : 'changes'}, ${age}`;
}

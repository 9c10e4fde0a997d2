/** The table that `npm run takeover` prints: a row a case. */

/** Milliseconds; undefined where the case has no such client, Infinity where one was never served. */
export interface Figures {
  readonly new?: number;
  readonly rebinding?: number;
  readonly renewing?: number;
}

export interface Row {
  readonly name: string;
  /** The worst wait of anybody from the fault on. */
  readonly figures: Figures;
  /** Of clients whose server and whose address's owner had no fault. */
  readonly others?: number;
  /** The same while what had failed came back. */
  readonly mending: number;
  /** What was lost or given twice, in words. */
  readonly lost: readonly string[];
  /** Ms that DESIGN.md gives it. */
  readonly promise: number;
  /** How late the clients' own timers were at worst, and how long a small write to the disk took. */
  readonly timersMs: number;
  readonly flushMs: number;
  /** Why the promise is not kept, in words. */
  readonly broken: readonly string[];
  /** More that was seen. */
  readonly notes: readonly string[];
}

const COLUMNS = ['case', 'new', 'rebinding', 'renewing', 'others', 'mending', 'lost', 'promise', 'timers', 'flush', 'held'] as const;

export function describeMs(ms: number): string {
  return Number.isFinite(ms) ? `${ms.toFixed(0)} ms` : 'never';
}

function cell(ms: number | undefined): string {
  return ms === undefined ? '-' : describeMs(ms);
}

export function held(row: Row): boolean {
  return row.broken.length === 0 && row.lost.length === 0;
}

function cellsOf(row: Row): string[] {
  const { figures, flushMs, lost, mending, name, others, promise, timersMs } = row;
  return [
    name, cell(figures.new), cell(figures.rebinding), cell(figures.renewing), cell(others), cell(mending),
    lost.length === 0 ? 'nothing' : String(lost.length), cell(promise), cell(timersMs), cell(flushMs), held(row) ? 'yes' : 'NO',
  ];
}

/** The first column to the left, the others to the right, as wide as `names` needs. */
export class Table {
  readonly #widths: readonly number[];

  constructor(names: readonly string[]) {
    this.#widths = COLUMNS.map((column, i) => (i === 0 ? Math.max(...names.map((name) => name.length), column.length) : Math.max(column.length, 8)));
  }

  get head(): string {
    return this.#line([...COLUMNS]);
  }

  /** The row and what is to be said about it, a line each. */
  lines(row: Row): string[] {
    return [this.#line(cellsOf(row)), ...[...row.broken, ...row.lost.slice(0, 10), ...row.notes].map((text) => `    ${text}`)];
  }

  #line(cells: readonly string[]): string {
    return cells.map((text, i) => (i === 0 ? text.padEnd(this.#widths[i]!) : text.padStart(this.#widths[i]!))).join('  ');
  }
}

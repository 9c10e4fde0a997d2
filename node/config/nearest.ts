/** "Did you mean …?": the known word that a mistyped one is nearest to. */

const EDITS_MAX = 2;

/** Undefined when none is near. Case, dashes and underscores do not count: `lease-time` is `leaseTime`. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestEdits = EDITS_MAX + 1;
  const plain = simplify(word);
  for (const candidate of known) {
    const edits = editDistance(plain, simplify(candidate));
    // A word of three letters is two edits away from any other.
    if (edits < bestEdits && edits < candidate.length / 2) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}

export function didYouMean(word: string, known: readonly string[]): string {
  const candidate = nearest(word, known);
  return candidate === undefined ? '' : `; did you mean ${candidate}?`;
}

function simplify(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '');
}

/** Insertions, deletions and replacements from `a` to `b`; above EDITS_MAX any number above it. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > EDITS_MAX) return EDITS_MAX + 1;
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}

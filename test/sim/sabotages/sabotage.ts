/** A planted bug: one line of the sources, changed as it is loaded, so that a rule of the design is broken. */
export interface Sabotage {
  /** The rule, as one sentence. */
  readonly rule: string;
  readonly file: string;
  /** In the file exactly once. */
  readonly line: string;
  readonly becomes: string;
  /** What goes wrong without the rule, and what has to happen for it. */
  readonly without: string;
  /** Production code's own check stops the node before a client is harmed: that is what is found. */
  readonly foundBy?: 'assertion';
}

export type Sabotages = Readonly<Record<string, Sabotage>>;

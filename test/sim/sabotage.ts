/**
 * Planted bugs: each is one line of production code changed as it is loaded, a rule of the design
 * broken. The simulator must find every one of them, or it proves nothing about the rest.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

export interface Sabotage {
  readonly rule: string;
  readonly file: string;
  readonly line: string;
  readonly becomes: string;
}

export const SABOTAGES: Readonly<Record<string, Sabotage>> = {
  'ack-before-the-peer-has-it': {
    rule: 'a change is committed when every other member has it or its inbox does',
    file: 'cluster/replication/replication.ts',
    line: '      if (has < seq) seq = has;',
    becomes: '',
  },
  'ack-when-visible': {
    rule: 'a change counts when it is flushed, not when the store shows it',
    file: 'test/sim/node.ts',
    line: '    agenda.after(flushMs, () => {',
    becomes: '    agenda.after(0.1, () => {\n      if (start === this.start && this.disk.visibleBeforeFlush) this.#input("disk", (engine, now) => engine.onFlushed(batch.position, now));\n    });\n    agenda.after(flushMs, () => {',
  },
  'accept-from-outside-the-view': {
    rule: 'changes of a node that the view does not name are refused',
    file: 'cluster/replication/replication.ts',
    line: '    if (!names(view!, peer.id, batch.incarnation)) return false;',
    becomes: '    if (!names(view!, peer.id, batch.incarnation)) return true;',
  },
  'skip-the-inbox-at-takeover': {
    rule: 'whoever takes over has read the whole inbox of the one that left',
    file: 'cluster/view/adoption.ts',
    line: '    if (this.#state.duties.length === 0 || !this.#state.context.options.clustered) finishing.inboxRead = true;',
    becomes: '    finishing.inboxRead = true;',
  },
  'switch-before-the-view-says': {
    rule: 'all who serve in one epoch do so by the configuration that the view names',
    file: 'cluster/view/configuration.ts',
    line: '    if (isMember(this.#state) && view?.configRevision === revision) this.#apply(revision, result.config);',
    becomes: '    if (isMember(this.#state)) this.#apply(revision, result.config);',
  },
};

/** Changes the source as it is loaded; must come before the first import of it. */
export function plant(name: string): void {
  const sabotage = SABOTAGES[name];
  assert(sabotage !== undefined, `no such sabotage: ${name}; there are ${Object.keys(SABOTAGES).join(', ')}`);
  const url = new URL(`../../${sabotage.file}`, import.meta.url).href;
  registerHooks({
    load(target, context, nextLoad) {
      if (target !== url) return nextLoad(target, context);
      const source = readFileSync(new URL(target), 'utf8');
      return { format: 'module-typescript', source: sabotaged(source, sabotage), shortCircuit: true };
    },
  });
}

/** Throws where the line is not in the source exactly once: a sabotage that changes nothing proves nothing. */
export function sabotaged(source: string, { line, becomes, file }: Sabotage): string {
  assert.equal(source.split(line).length, 2, `the line to sabotage must be in ${file} exactly once: ${line}`);
  return source.replace(line, () => becomes);
}

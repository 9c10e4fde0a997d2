/** What an operator may ask of a running node as a last resort, and what it answers (`lessor recover`, `lessor partner-down`). */

export type OperatorCommand =
  /** Without `force` it is only said what would happen. */
  | { readonly kind: 'recover'; readonly force: boolean }
  /** The operator's word that this node is switched off. */
  | { readonly kind: 'partner-down'; readonly node: string };

export interface OperatorAnswer {
  /** False: refused, and nothing was changed. */
  readonly ok: boolean;
  /** For the person who asked, a few plain lines. */
  readonly text: string;
}

/** How the last command goes on that could not be done at once. */
export interface OperatorProgress {
  readonly state: 'running' | 'done' | 'refused';
  readonly text: string;
}

/** In the node's data folder: where it takes these commands. */
export const CONTROL_SOCKET = 'control.sock';

/** On that socket: who gives the command, as the command line says, URI-encoded. */
export const CALLER_HEADER = 'lessor-caller';

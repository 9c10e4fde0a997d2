/** Prints bindings as they come: what came together is written together, and the reader of the output sets the pace. */
import type { Answer } from '../leasequery/requestor/answer.ts';
import { type WallMs, wallSeconds } from '../time.ts';
import type { BindingSink } from './leasequery-session.ts';
import { answerView, bindingHeader, bindingRow, jsonLine } from './leasequery-view.ts';
import type { CliOutput } from './output.ts';

export class BindingPrinter implements BindingSink {
  /** How many were printed. */
  bindings = 0;
  readonly #output: CliOutput;
  readonly #isJson: boolean;
  readonly #asked: readonly number[];
  #text = '';
  #isHeaded = false;

  /** `asked`: the options that the query asks for. */
  constructor(output: CliOutput, isJson: boolean, asked: readonly number[]) {
    this.#output = output;
    this.#isJson = isJson;
    this.#asked = asked;
  }

  onBinding(answer: Answer, server: number | undefined): void {
    this.bindings++;
    const view = answerView(answer, { server, wallSeconds: wallSeconds(Date.now() as WallMs), asked: this.#asked });
    if (this.#isJson) {
      this.#text += jsonLine(view);
      return;
    }
    if (!this.#isHeaded) this.#text += bindingHeader;
    this.#isHeaded = true;
    this.#text += bindingRow(view);
  }

  /** In its place between the bindings. */
  line(text: string, json: unknown): void {
    this.#text += this.#isJson ? jsonLine(json) : `${text}\n`;
  }

  async onPause(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '') await this.#output.out(text);
  }
}

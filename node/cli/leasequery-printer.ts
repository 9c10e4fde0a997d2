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
  #text = '';
  #isHeaded = false;

  constructor(output: CliOutput, isJson: boolean) {
    this.#output = output;
    this.#isJson = isJson;
  }

  onBinding(answer: Answer, server: number | undefined): void {
    this.bindings++;
    const view = answerView(answer, server, wallSeconds(Date.now() as WallMs));
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
